// What deno_fetch reads of deno_telemetry, which Holm leaves out: tracing that is always off.
// `26_fetch.js` looks for these two slots before it would load the real modules.
(function () {
const { internals } = __bootstrap;

internals.__telemetry = {
  TRACING_ENABLED: false,
  PROPAGATORS: [],
  DID_NOT_ENTER: undefined,
  ContextManager: undefined,
  builtinTracer: undefined,
  enterSpan() {},
  exitSpan() {},
};
internals.__telemetryUtil = {
  updateSpanFromClientResponse() {},
  updateSpanFromError() {},
  updateSpanFromRequest() {},
};
// `00_crypto.js` compares with the brand of Node's KeyObject; no value of ours carries it.
internals.kKeyObject ??= Symbol("KeyObject");

return {};
})();
