const formatter = new Intl.DateTimeFormat("en", {
  minute: "numeric", second: "numeric", fractionalSecondDigits: 3, timeZone: "UTC",
});
const file = () => new File([], "x").lastModified;
const look = {
  format: () => formatter.format(),
  bound: () => [undefined].map(formatter.format)[0],
  parts: () => formatter.formatToParts().map((part) => part.value).join(""),
  time_string: () => new Date().toLocaleTimeString("en", { fractionalSecondDigits: 3 }),
  date: () => Date(),
  temporal: () => Temporal.Now.instant().epochMilliseconds,
  file,
};
const compute = () => {
  let sum = 0;
  for (let index = 0; index < 3e6; index += 1) sum += index % 7;
  return sum;
};
const thrown = (act) => {
  try {
    return act();
  } catch (error) {
    return error.name;
  }
};

export default {
  async fetch() {
    const report = {};
    // Each from a time of its own, which is the one that Date shows.
    const began = Date.now();
    const shown = formatter.format(began);
    for (const name in look) {
      const first = look[name]();
      compute();
      report[name] = look[name]() === first;
    }
    report.format &&= formatter.format() === shown && formatter.format(undefined) === shown;
    report.file &&= file() === began && new File([], "x", { lastModified: 5 }).lastModified === 5;
    const past = new Intl.DateTimeFormat("en", { timeZone: "UTC" });
    report.past = past.format(0);
    report.past_parts = past.formatToParts(new Date(0)).map((part) => part.value).join("");
    report.same = past.format === past.format;
    const getter = Object.getOwnPropertyDescriptor(Intl.DateTimeFormat.prototype, "format").get;
    const { formatToParts } = Intl.DateTimeFormat.prototype;
    const { plainDateISO } = Temporal.Now;
    report.names = [past.format.name, past.format.length, getter.name, formatToParts.name, formatToParts.length,
      plainDateISO.name, plainDateISO.length];
    report.wrong = [thrown(() => getter.call({})), thrown(() => formatToParts.call({})), thrown(() => past.format(NaN))];
    const { Now } = Temporal;
    report.temporal_names = [String(Temporal), String(Now), Object.keys(Temporal).length, Object.keys(Now).length];
    report.temporal_classes = Object.getOwnPropertyNames(Temporal).filter((name) =>
      name !== "Now" && !(typeof Temporal[name] === "function" && Temporal[name].name === name));
    const instant = Temporal.Instant.from("2026-01-02T03:04:05Z");
    report.temporal_kinds = [
      new Date(0).toTemporalInstant() instanceof Temporal.Instant,
      instant.toZonedDateTimeISO("UTC") instanceof Temporal.ZonedDateTime,
      Now.plainDateISO() instanceof Temporal.PlainDate,
      Now.plainDateTimeISO("Asia/Tokyo") instanceof Temporal.PlainDateTime,
      Now.plainTimeISO() instanceof Temporal.PlainTime,
      Now.zonedDateTimeISO().timeZoneId === Now.timeZoneId(),
      Temporal.PlainYearMonth.from("2026-01").toString() === "2026-01",
      Temporal.PlainMonthDay.from("01-02").toString() === "01-02",
      Temporal.Duration.from("PT1S").total("seconds") === 1,
      Now.instant().epochMilliseconds === Date.now(),
      thrown(() => Now.plainDateISO("nowhere")),
    ].join();
    await new Promise((resolve) => setTimeout(resolve, 20));
    report.later = formatter.format() !== shown && file() > began;
    return Response.json(report);
  },
};
