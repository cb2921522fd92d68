// `ArrayBuffer.prototype.resize` under the isolate's memory budget: V8 grows such a buffer in
// place, without asking the allocator that refuses the ones that do not fit.
(function () {
const { core, primordials } = globalThis.__bootstrap;
const {
  ArrayBufferPrototype,
  ArrayBufferPrototypeGetByteLength,
  ArrayBufferPrototypeResize,
  ObjectDefineProperty,
  RangeError,
} = primordials;
const { op_holm_may_grow } = core.ops;

const { resize } = {
  resize(newLength) {
    const before = ArrayBufferPrototypeGetByteLength(this);
    // Converted once: it may be an object with a mind of its own.
    const after = +newLength;
    if (after > before && !op_holm_may_grow(after - before)) {
      throw new RangeError("Array buffer allocation failed");
    }
    return ArrayBufferPrototypeResize(this, after);
  },
};
ObjectDefineProperty(ArrayBufferPrototype, "resize", {
  __proto__: null,
  value: resize,
  writable: true,
  enumerable: false,
  configurable: true,
});
return {};
})()
