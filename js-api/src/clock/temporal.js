// `Temporal` over the isolate's clock, which stands still while a function computes.
//
// V8 makes `Temporal` when it is first read, which takes 0.3 ms: too long to do it in every isolate
// for the sake of `Temporal.Now`. So this takes the place of V8's, without a look at it: the same
// classes, which all can be had from a Date, and a `Now` of our own.
(function () {
const { core, primordials } = __bootstrap;
const { op_holm_now } = core.ops;
const {
  BigInt,
  Date,
  DatePrototype,
  ObjectDefineProperty,
  ReflectApply,
  SymbolToStringTag,
} = primordials;
const { DateTimeFormat } = Intl;

const epoch = ReflectApply(DatePrototype.toTemporalInstant, new Date(0), []);
const Instant = epoch.constructor;
const zonedEpoch = epoch.toZonedDateTimeISO("UTC");
const dateTime = zonedEpoch.toPlainDateTime();
const date = dateTime.toPlainDate();

const instant = () => new Instant(BigInt(op_holm_now()) * 1000000n);
const timeZoneId = () => new DateTimeFormat().resolvedOptions().timeZone;
const zoned = (zone = timeZoneId()) => instant().toZonedDateTimeISO(zone);

const Now = namespace("Temporal.Now", {
  instant,
  plainDateISO: (zone = undefined) => zoned(zone).toPlainDate(),
  plainDateTimeISO: (zone = undefined) => zoned(zone).toPlainDateTime(),
  plainTimeISO: (zone = undefined) => zoned(zone).toPlainTime(),
  timeZoneId,
  zonedDateTimeISO: (zone = undefined) => zoned(zone),
});
const Temporal = namespace("Temporal", {
  Now,
  Duration: epoch.until(epoch).constructor,
  Instant,
  PlainDate: date.constructor,
  PlainDateTime: dateTime.constructor,
  PlainMonthDay: date.toPlainMonthDay().constructor,
  PlainTime: dateTime.toPlainTime().constructor,
  PlainYearMonth: date.toPlainYearMonth().constructor,
  ZonedDateTime: zonedEpoch.constructor,
});

function namespace(tag, members) {
  const object = {};
  for (const name in members) {
    ObjectDefineProperty(object, name, {
      __proto__: null,
      value: members[name],
      writable: true,
      enumerable: false,
      configurable: true,
    });
  }
  ObjectDefineProperty(object, SymbolToStringTag, {
    __proto__: null,
    value: tag,
    configurable: true,
  });
  return object;
}

return { Temporal };
})();
