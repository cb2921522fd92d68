// `Math.random` over numbers that the host makes, some ahead.
(function () {
const { core, internals, primordials } = __bootstrap;
const { op_holm_random } = core.ops;
const {
  Float64Array,
  ObjectDefineProperty,
  TypedArrayPrototypeGetBuffer,
  Uint8Array,
} = primordials;

const AHEAD = 128;
/** Not before they are asked for: most functions never do. */
let numbers;
let bytes;
let left = 0;

const { random } = {
  random() {
    if (left === 0) {
      if (numbers === undefined) {
        numbers = new Float64Array(AHEAD);
        bytes = new Uint8Array(TypedArrayPrototypeGetBuffer(numbers));
      }
      op_holm_random(bytes);
      left = AHEAD;
    }
    return numbers[--left];
  },
};
ObjectDefineProperty(Math, "random", {
  __proto__: null,
  value: random,
  writable: true,
  enumerable: false,
  configurable: true,
});

/** What was drawn ahead is also in other copies of this isolate. */
internals.holmForgetRandom = () => {
  left = 0;
};

return {};
})();
