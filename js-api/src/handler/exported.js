// What a module exports by default.
(function () {
const { core, primordials } = __bootstrap;
const { ArrayPrototypePush } = primordials;

const { describe } = core.loadExtScript("ext:holm/values.js");

/** What is wrong with it and its `handler`, or null. */
function problemOf(exported, handler) {
  if (exported === undefined) {
    return "the module has no default export; write `export default { fetch(request, env, ctx) { ... } }`";
  }
  const type = typeof exported;
  if (exported === null || (type !== "object" && type !== "function")) {
    return `the default export must be an object with a fetch method, not ${describe(exported)}`;
  }
  if (typeof handler !== "function") {
    return handler === undefined
      ? "the default export has no fetch method; write `export default { fetch(request, env, ctx) { ... } }`"
      : `fetch in the default export must be a function, not ${describe(handler)}`;
  }
  return null;
}

// Handlers that Workers have, and Holm does not call.
const LATER = ["scheduled", "queue", "email", "tail", "tailStream", "trace"];

/** Those of `exported`. Whoever makes a method of every name (a proxy) is not taken at its word. */
function uncalled(exported) {
  const names = [];
  for (let i = 0; i < LATER.length; i++) {
    try {
      if (LATER[i] in exported && typeof exported[LATER[i]] === "function") {
        ArrayPrototypePush(names, LATER[i]);
      }
    } catch {
      // A getter that throws is no handler.
    }
  }
  return names;
}

return { problemOf, uncalled };
})();
