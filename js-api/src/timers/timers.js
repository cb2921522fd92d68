// setTimeout and setInterval of a function.
//
// Instead of deno_web's, because a request's timers end with the request, are counted, and never
// run a string as code. AbortSignal.timeout and the like keep deno_web's own.
(function () {
const { core, internals, primordials } = __bootstrap;
const { cancelTimer, createTimer, getAsyncContext, setAsyncContext } = core;
const {
  MapPrototypeDelete,
  MapPrototypeForEach,
  MapPrototypeGet,
  MapPrototypeGetSize,
  MapPrototypeSet,
  RangeError,
  ReflectApply,
  SafeMap,
  TypeError,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");

/** Timers that one isolate may have running at once (containment.md, case 28). */
const MAX_TIMERS = 10_000;

/** Nesting from which the HTML standard makes every timer wait at least 4 ms. */
const NESTING_CLAMP = 5;

/** Running timers by their ids, each with the async context that it was started in. */
const active = new SafeMap();
let nesting = 0;

function start(callback, delay, args, repeat, name) {
  if (typeof callback !== "function") {
    throw new TypeError(`${name} takes a function; code from a string is not run`);
  }
  if (MapPrototypeGetSize(active) >= MAX_TIMERS) {
    throw new RangeError(`too many timers: ${MAX_TIMERS} are running already`);
  }
  delay = webidl.converters.long(delay);
  const depth = nesting + 1;
  if (depth > NESTING_CLAMP && delay < 4) delay = 4;
  const context = getAsyncContext();
  let id = 0;
  const timer = createTimer(
    () => {
      if (!repeat) MapPrototypeDelete(active, id);
      const outer = getAsyncContext();
      const outerNesting = nesting;
      nesting = depth;
      setAsyncContext(context);
      try {
        ReflectApply(callback, globalThis, args);
      } finally {
        setAsyncContext(outer);
        nesting = outerNesting;
      }
    },
    delay,
    undefined,
    repeat,
    true,
  );
  id = timer._timerId;
  MapPrototypeSet(active, id, { timer, context });
  return id;
}

function stop(id) {
  id = webidl.converters.long(id);
  const entry = MapPrototypeGet(active, id);
  if (entry !== undefined) {
    cancelTimer(entry.timer);
    MapPrototypeDelete(active, id);
  }
}

function checkThis(self) {
  if (self !== null && self !== undefined && self !== globalThis) {
    throw new TypeError("Illegal invocation");
  }
}

function setTimeout(callback, delay = 0, ...args) {
  checkThis(this);
  return start(callback, delay, args, false, "setTimeout");
}

function setInterval(callback, delay = 0, ...args) {
  checkThis(this);
  return start(callback, delay, args, true, "setInterval");
}

function clearTimeout(id = 0) {
  checkThis(this);
  stop(id);
}

function clearInterval(id = 0) {
  checkThis(this);
  stop(id);
}

/** A request is over: ends the timers that it started; without its number, all there are. */
internals.holmClearTimers = (request) => {
  if (MapPrototypeGetSize(active) === 0) return;
  MapPrototypeForEach(active, ({ timer, context }, id) => {
    if (request === undefined || context?.holmRequest === request) {
      cancelTimer(timer);
      MapPrototypeDelete(active, id);
    }
  });
};

return { clearInterval, clearTimeout, setInterval, setTimeout };
})();
