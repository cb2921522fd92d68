// `Date` and `Temporal.Now` over the isolate's clock, which stands still while a function
// computes. Everything else about them is V8's.
(function () {
const { core, primordials } = __bootstrap;
const { op_holm_now } = core.ops;
const {
  BigInt,
  ObjectDefineProperties,
  ObjectDefineProperty,
  ReflectConstruct,
} = primordials;

const RealDate = globalThis.Date;
const toString = RealDate.prototype.toString;

function Date(...args) {
  if (new.target === undefined) {
    return primordials.ReflectApply(toString, new RealDate(op_holm_now()), []);
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

const { Temporal } = globalThis;
if (Temporal !== undefined) {
  const { Instant, Now } = Temporal;
  const { timeZoneId } = Now;
  const instant = () => new Instant(BigInt(op_holm_now()) * 1000000n);
  const zoned = (zone = timeZoneId()) => instant().toZonedDateTimeISO(zone);
  const replacements = {
    instant,
    plainDateISO: (zone) => zoned(zone).toPlainDate(),
    plainDateTimeISO: (zone) => zoned(zone).toPlainDateTime(),
    plainTimeISO: (zone) => zoned(zone).toPlainTime(),
    zonedDateTimeISO: (zone) => zoned(zone),
  };
  for (const name in replacements) {
    ObjectDefineProperty(Now, name, hidden(replacements[name]));
  }
}

return {};
})();
