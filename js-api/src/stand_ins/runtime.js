// What the deno_* scripts expect of Deno's own runtime and its crates that Holm leaves out. Loaded
// before any of them.
(function () {
const { core, internals } = __bootstrap;
const { op_holm_destructure, op_holm_log_exception, op_holm_starts_timer } = core.ops;

// An exception that nobody catches is logged; deno_core's own way would end the isolate.
core.reportUnhandledException = (error) => op_holm_log_exception(error, "Uncaught ");
core.destructureError = (error) => op_holm_destructure(error);

// The host is told of timers that the event loop does not wait for.
const { createSystemTimer } = core;
core.createSystemTimer = (callback, after, isRefed) => {
  op_holm_starts_timer();
  return createSystemTimer(callback, after, isRefed);
};

// Tracing that is always off. `26_fetch.js` looks for these two slots before it would load
// deno_telemetry.

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
