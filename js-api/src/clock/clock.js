// `Date` and `Intl.DateTimeFormat` over the isolate's clock, which stands still while a function
// computes. Everything else about them is V8's.
(function () {
const { core, primordials } = __bootstrap;
const { op_holm_now } = core.ops;
const {
  ObjectDefineProperties,
  ObjectDefineProperty,
  ObjectGetOwnPropertyDescriptor,
  ReflectApply,
  ReflectConstruct,
  SafeWeakMap,
  WeakMapPrototypeGet,
  WeakMapPrototypeSet,
} = primordials;

const RealDate = globalThis.Date;
const toString = RealDate.prototype.toString;

function Date(...args) {
  if (new.target === undefined) {
    return ReflectApply(toString, new RealDate(op_holm_now()), []);
  }
  const values = args.length === 0 ? [op_holm_now()] : args;
  return ReflectConstruct(RealDate, values, new.target);
}

function hidden(value) {
  return { __proto__: null, value, writable: true, enumerable: false, configurable: true };
}

ObjectDefineProperties(Date, {
  length: { __proto__: null, value: 7, configurable: true },
  prototype: { __proto__: null, value: RealDate.prototype, writable: false },
  now: hidden({ now: () => op_holm_now() }.now),
  parse: hidden(RealDate.parse),
  UTC: hidden(RealDate.UTC),
});
ObjectDefineProperty(RealDate.prototype, "constructor", hidden(Date));
ObjectDefineProperty(globalThis, "Date", hidden(Date));

// A formatter that is given no date takes the time itself.
const formatter = Intl.DateTimeFormat.prototype;
const { get: realFormat } = ObjectGetOwnPropertyDescriptor(formatter, "format");
const { formatToParts: realParts } = formatter;
const orNow = (date) => date === undefined ? op_holm_now() : date;
/** A function that is handed on gets no name of a variable. */
const withoutName = (anonymous) => anonymous;

/** From the function that V8 binds to a formatter, once, to ours. */
const formats = new SafeWeakMap();

const replacements = {
  get format() {
    const real = ReflectApply(realFormat, this, []);
    const known = WeakMapPrototypeGet(formats, real);
    if (known !== undefined) return known;
    const format = withoutName((date) => real(orNow(date)));
    WeakMapPrototypeSet(formats, real, format);
    return format;
  },
  formatToParts(date) {
    return ReflectApply(realParts, this, [orNow(date)]);
  },
};
const { get } = ObjectGetOwnPropertyDescriptor(replacements, "format");
ObjectDefineProperty(formatter, "format", {
  __proto__: null,
  get,
  enumerable: false,
  configurable: true,
});
ObjectDefineProperty(formatter, "formatToParts", hidden(replacements.formatToParts));

return {};
})();
