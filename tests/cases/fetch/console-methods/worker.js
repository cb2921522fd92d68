const METHODS = ["assert", "clear", "debug", "error", "info", "log", "table", "trace", "warn", "dir", "dirxml",
  "count", "countReset", "group", "groupCollapsed", "groupEnd", "time", "timeLog", "timeEnd",
  "timeStamp", "profile", "profileEnd"];

export default {
  fetch() {
    const { writable, enumerable, configurable } = Object.getOwnPropertyDescriptor(globalThis, "console");
    const there = METHODS.filter((name) => typeof console[name] === "function");
    return Response.json({
      missing: METHODS.filter((name) => !there.includes(name)),
      returned: there.filter((name) => (0, console[name])("label") !== undefined),
      tag: String(console),
      descriptor: [writable, enumerable, configurable],
    });
  },
};
