// Values that a function hands over, where it may hand over anything.
(function () {
const { core, primordials } = __bootstrap;
const {
  DataViewPrototypeGetBuffer,
  DataViewPrototypeGetByteLength,
  DataViewPrototypeGetByteOffset,
  TypedArrayPrototypeGetBuffer,
  TypedArrayPrototypeGetByteLength,
  TypedArrayPrototypeGetByteOffset,
  TypedArrayPrototypeGetSymbolToStringTag,
  TypeError,
  Uint8Array,
} = primordials;

/** What it is, for a message; `object` says what its objects are not. */
function describe(value, object = "an object") {
  if (value === null) return "null";
  if (typeof value === "object") return object;
  return value === undefined ? "undefined" : `a ${typeof value}`;
}

/** A chunk of a response's stream as bytes. The standard wants bytes; strings are workerd's. */
function bytesOf(chunk) {
  const kind = TypedArrayPrototypeGetSymbolToStringTag(chunk);
  if (kind === "Uint8Array") return chunk;
  if (typeof chunk === "string") return core.encode(chunk);
  if (kind !== undefined) {
    return new Uint8Array(
      TypedArrayPrototypeGetBuffer(chunk),
      TypedArrayPrototypeGetByteOffset(chunk),
      TypedArrayPrototypeGetByteLength(chunk),
    );
  }
  if (core.isDataView(chunk)) {
    return new Uint8Array(
      DataViewPrototypeGetBuffer(chunk),
      DataViewPrototypeGetByteOffset(chunk),
      DataViewPrototypeGetByteLength(chunk),
    );
  }
  if (core.isArrayBuffer(chunk)) return new Uint8Array(chunk);
  throw new TypeError(
    `the response's body stream gave ${describe(chunk)}; a body is made of bytes and strings: ` +
      "enqueue a Uint8Array, or text such as JSON.stringify makes",
  );
}

return { bytesOf, describe };
})();
