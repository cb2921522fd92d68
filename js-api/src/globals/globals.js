// The global object of a function: the Minimum Common Web API (ECMA-429) and the few names that
// Workers users expect beside it. Runs once, while the base snapshot is made.
//
// What nearly every request touches is evaluated now, into the snapshot; the rest is loaded when
// a function first reads its name.
((globalThis) => {
const { core, internals, primordials } = globalThis.__bootstrap;
const {
  ObjectDefineProperty,
  ObjectDefineProperties,
  ObjectKeys,
  ObjectSetPrototypeOf,
  PromisePrototypeThen,
  ReflectApply,
  SafeArrayIterator,
  SymbolToStringTag,
} = primordials;
const { op_holm_log, op_holm_now, op_holm_user_agent } = core.ops;

core.loadExtScript("ext:holm/runtime.js");

// deno_core knows objects that clone themselves by a symbol that anybody may name, and ends the process
// when one is not as it expects.
const { for: symbolFor } = Symbol;
ObjectDefineProperty(Symbol, "for", {
  __proto__: null,
  value: {
    for(key) {
      key = `${key}`;
      return symbolFor(key === "Deno.core.hostObject" ? "hostObject" : key);
    },
  }.for,
  writable: true,
  enumerable: false,
  configurable: true,
});
core.loadExtScript("ext:holm/buffers.js");
core.loadExtScript("ext:holm/clock.js");
core.loadExtScript("ext:holm/random.js");
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const event = core.loadExtScript("ext:deno_web/02_event.js");
const { URL, URLSearchParams } = core.loadExtScript("ext:deno_web/00_url.js");
const { DOMException, QuotaExceededError } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const abort = core.loadExtScript("ext:deno_web/03_abort_signal.js");
const streams = core.loadExtScript("ext:deno_web/06_streams.js");
const encoding = core.loadExtScript("ext:deno_web/08_text_encoding.js");
const file = core.loadExtScript("ext:deno_web/09_file.js");
const timers = core.loadExtScript("ext:holm/timers.js");
const base64 = core.loadExtScript("ext:deno_web/05_base64.js");
const { Headers } = core.loadExtScript("ext:deno_fetch/20_headers.js");
const { FormData } = core.loadExtScript("ext:deno_fetch/21_formdata.js");
const { Request } = core.loadExtScript("ext:deno_fetch/23_request.js");
const { Response } = core.loadExtScript("ext:holm/response.js");
const { Console, setNoColorFns } = core.loadExtScript("ext:deno_web/01_console.js");
const { WorkerGlobalScope } = core.loadExtScript("ext:deno_web/04_global_interfaces.js");

const { propGetterOnly, propNonEnumerable, propWritable } = core;

// A file that is given no time gets the function's; deno_web reads the clock itself.
const toFileOptions = webidl.converters["FilePropertyBag"];
webidl.converters["FilePropertyBag"] = (...args) => {
  const options = toFileOptions(...new SafeArrayIterator(args));
  options.lastModified ??= op_holm_now();
  return options;
};

/** A loader of a script that is evaluated on first use. */
function lazily(specifier) {
  return () => core.loadExtScript(specifier);
}
const lazyPattern = lazily("ext:deno_web/01_urlpattern.js");
const lazyPorts = lazily("ext:deno_web/13_message_port.js");
const lazyCompression = lazily("ext:holm/compression.js");
const lazyDecompression = lazily("ext:holm/decompression.js");
function lazyPerformance() {
  const module = core.loadExtScript("ext:deno_web/15_performance.js");
  if (!timeOriginSet) {
    timeOriginSet = true;
    module.setTimeOrigin();
  }
  return module;
}
let timeOriginSet = false;
/** This isolate is a copy of another: what was taken from the host before is not its own. */
internals.holmForget = () => {
  internals.holmForgetRandom();
  if (timeOriginSet) core.loadExtScript("ext:deno_web/15_performance.js").setTimeOrigin();
};
const lazyWebSocket = lazily("ext:holm/websocket.js");
const lazyReader = lazily("ext:deno_web/10_filereader.js");
const lazyCrypto = lazily("ext:holm/derivation.js");
const lazyFetch = lazily("ext:deno_fetch/26_fetch.js");
const lazyEventSource = lazily("ext:deno_fetch/27_eventsource.js");

/** fetch(), whose answer may be a WebSocket, as Workers have it. */
function lazyFetchOfSockets() {
  const { fetch: native } = lazyFetch();
  function fetch(_input) {
    return PromisePrototypeThen(ReflectApply(native, undefined, arguments), (response) => {
      if (response.status === 101) lazyWebSocket().adopt(response);
      return response;
    });
  }
  return { fetch };
}

class Navigator {
  constructor() {
    webidl.illegalConstructor();
  }
  get userAgent() {
    webidl.assertBranded(this, Navigator.prototype);
    return op_holm_user_agent();
  }
  get language() {
    webidl.assertBranded(this, Navigator.prototype);
    return "en-US";
  }
  get languages() {
    webidl.assertBranded(this, Navigator.prototype);
    return ["en-US"];
  }
  get hardwareConcurrency() {
    webidl.assertBranded(this, Navigator.prototype);
    return 1;
  }
}
webidl.configureInterface(Navigator);
const navigator = webidl.createBranded(Navigator);

const interfaces = {
  __proto__: null,
  AbortController: abort.AbortController,
  AbortSignal: abort.AbortSignal,
  Blob: file.Blob,
  ByteLengthQueuingStrategy: streams.ByteLengthQueuingStrategy,
  CloseEvent: event.CloseEvent,
  CountQueuingStrategy: streams.CountQueuingStrategy,
  CustomEvent: event.CustomEvent,
  DOMException,
  ErrorEvent: event.ErrorEvent,
  Event: event.Event,
  EventTarget: event.EventTarget,
  File: file.File,
  FormData,
  Headers,
  MessageEvent: event.MessageEvent,
  Navigator,
  ProgressEvent: event.ProgressEvent,
  PromiseRejectionEvent: event.PromiseRejectionEvent,
  ReadableByteStreamController: streams.ReadableByteStreamController,
  ReadableStream: streams.ReadableStream,
  ReadableStreamBYOBReader: streams.ReadableStreamBYOBReader,
  ReadableStreamBYOBRequest: streams.ReadableStreamBYOBRequest,
  ReadableStreamDefaultController: streams.ReadableStreamDefaultController,
  ReadableStreamDefaultReader: streams.ReadableStreamDefaultReader,
  QuotaExceededError,
  Request,
  Response,
  TextDecoder: encoding.TextDecoder,
  TextDecoderStream: encoding.TextDecoderStream,
  TextEncoder: encoding.TextEncoder,
  TextEncoderStream: encoding.TextEncoderStream,
  TransformStream: streams.TransformStream,
  TransformStreamDefaultController: streams.TransformStreamDefaultController,
  URL,
  URLSearchParams,
  WorkerGlobalScope,
  WritableStream: streams.WritableStream,
  WritableStreamDefaultController: streams.WritableStreamDefaultController,
  WritableStreamDefaultWriter: streams.WritableStreamDefaultWriter,
};
const properties = { __proto__: null };
for (const name in interfaces) {
  properties[name] = propNonEnumerable(interfaces[name]);
}

core.defineGlobalProperties(globalThis, {
  ...properties,

  atob: propWritable(base64.atob),
  btoa: propWritable(base64.btoa),
  clearInterval: propWritable(timers.clearInterval),
  clearTimeout: propWritable(timers.clearTimeout),
  crypto: core.propWritableLazyLoaded((module) => module.crypto, lazyCrypto),
  navigator: propGetterOnly(() => navigator),
  performance: core.propWritableLazyLoaded((module) => module.performance, lazyPerformance),
  reportError: propWritable(event.reportError),
  self: propGetterOnly(() => globalThis),
  setInterval: propWritable(timers.setInterval),
  setTimeout: propWritable(timers.setTimeout),
});

// What is loaded when a function first reads its name: by Web IDL data properties, which no getter of
// JavaScript's can look like. The host adds V8's lazy ones, which a snapshot cannot keep.
const interfaceLoaders = {
  __proto__: null,
  CompressionStream: lazyCompression,
  Crypto: lazyCrypto,
  CryptoKey: lazyCrypto,
  DecompressionStream: lazyDecompression,
  EventSource: lazyEventSource,
  FileReader: lazyReader,
  MessageChannel: lazyPorts,
  MessagePort: lazyPorts,
  Performance: lazyPerformance,
  PerformanceEntry: lazyPerformance,
  PerformanceMark: lazyPerformance,
  PerformanceMeasure: lazyPerformance,
  PerformanceObserver: lazyPerformance,
  PerformanceObserverEntryList: lazyPerformance,
  SubtleCrypto: lazyCrypto,
  Temporal: lazily("ext:holm/temporal.js"),
  URLPattern: lazyPattern,
  WebSocket: lazyWebSocket,
  WebSocketPair: lazyWebSocket,
};
const operationLoaders = {
  __proto__: null,
  fetch: lazyFetchOfSockets,
  structuredClone: lazyPorts,
};
const lazyStreaming = lazily("ext:holm/streaming.js");
const webAssemblyLoaders = {
  __proto__: null,
  compileStreaming: lazyStreaming,
  instantiateStreaming: lazyStreaming,
};
internals.holmLazy = {
  interfaces: ObjectKeys(interfaceLoaders),
  operations: ObjectKeys(operationLoaders),
  webAssembly: ObjectKeys(webAssemblyLoaders),
  load: (name) =>
    (interfaceLoaders[name] ?? operationLoaders[name] ?? webAssemblyLoaders[name])()[name],
};

// Errors that ops throw as DOMExceptions.
for (
  const name of [
    "AbortError",
    "DataError",
    "IndexSizeError",
    "InvalidAccessError",
    "InvalidCharacterError",
    "InvalidStateError",
    "NetworkError",
    "NotSupportedError",
    "OperationError",
    "SyntaxError",
    "TypeMismatchError",
  ]
) {
  core.registerErrorBuilder(
    `DOMException${name}`,
    (message) => new DOMException(message, name),
  );
}
core.registerErrorBuilder(
  "DOMExceptionQuotaExceededError",
  (message) => new QuotaExceededError(message),
);

// console writes to the request's log, never to the process's own output.
setNoColorFns(() => true, () => true);
const console = new Console((message, level) => op_holm_log(message, level));
ObjectDefineProperty(globalThis, "console", propNonEnumerable(console));

// `globalThis` is an EventTarget.
ObjectSetPrototypeOf(globalThis, WorkerGlobalScope.prototype);
ObjectDefineProperties(globalThis, {
  [webidl.brand]: {
    __proto__: null,
    value: webidl.brand,
    configurable: true,
  },
  [SymbolToStringTag]: {
    __proto__: null,
    value: "WorkerGlobalScope",
    configurable: true,
  },
});
event.saveGlobalThisReference(globalThis);
event.setEventTargetData(globalThis);
event.defineEventHandler(globalThis, "error");
event.defineEventHandler(globalThis, "unhandledrejection");
event.defineEventHandler(globalThis, "rejectionhandled");

})(globalThis);
