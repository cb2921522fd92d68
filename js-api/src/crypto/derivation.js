// A cap on PBKDF2: whoever asks for billions of iterations gets an error that says so, and does not
// lose the isolate to its CPU limit.
(function () {
const { core, primordials } = __bootstrap;
const { op_holm_generates_key } = core.ops;
const {
  Number,
  ObjectDefineProperty,
  ReflectApply,
  String,
  StringPrototypeToUpperCase,
} = primordials;
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");

/** More than any current recommendation; about half a second of CPU time with SHA-256. */
const MAX_ITERATIONS = 1_000_000;

/** `algorithm`, read once, so that what was checked is what is used. */
function checked(algorithm) {
  if (algorithm === null || typeof algorithm !== "object") return algorithm;
  const name = algorithm.name;
  if (StringPrototypeToUpperCase(String(name)) !== "PBKDF2") return algorithm;
  const iterations = Number(algorithm.iterations);
  if (iterations > MAX_ITERATIONS) {
    throw new DOMException(
      `PBKDF2 may run ${MAX_ITERATIONS} iterations, not ${iterations}`,
      "OperationError",
    );
  }
  return { name, salt: algorithm.salt, hash: algorithm.hash, iterations };
}

function cap(prototype, name) {
  const original = prototype[name];
  const capped = {
    async [name](algorithm, ...rest) {
      return await ReflectApply(original, this, [checked(algorithm), ...rest]);
    },
  }[name];
  ObjectDefineProperty(capped, "length", {
    __proto__: null,
    value: original.length,
    configurable: true,
  });
  ObjectDefineProperty(prototype, name, {
    __proto__: null,
    value: capped,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}

const crypto = core.loadExtScript("ext:deno_crypto/00_crypto.js");
cap(crypto.SubtleCrypto.prototype, "deriveBits");
cap(crypto.SubtleCrypto.prototype, "deriveKey");

/** The host is told of keys, which must not be in two copies of an isolate. */
function tell(prototype, name) {
  const original = prototype[name];
  const told = {
    async [name](...args) {
      op_holm_generates_key();
      return await ReflectApply(original, this, args);
    },
  }[name];
  ObjectDefineProperty(told, "length", {
    __proto__: null,
    value: original.length,
    configurable: true,
  });
  ObjectDefineProperty(prototype, name, {
    __proto__: null,
    value: told,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}
tell(crypto.SubtleCrypto.prototype, "generateKey");

return crypto;
})();
