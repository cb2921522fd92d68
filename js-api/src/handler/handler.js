// Calls a function's handler and carries what it returns to the host.
//
// The host (holm-cell) takes `globalThis.__holm` away before any user code runs:
//   bind(module, vars, shared, assets)  keeps the default export; says what is wrong with it, or which of
//                                 its handlers nothing calls; `shared`: several requests run at the same time;
//                                 `assets`: the name in `env` of the files beside the function, if they have one
//   fetch(id, method, url, body)  one request; `body` is a resource id, or -1
//   isPending()                   whether the event loop has anything left to do
//   rehearse()                    answers requests that nobody made, before there is a function
//   lazy                          what is loaded when a function first reads its name: lists of names,
//                                 and load(name)
//   forget()                      the isolate is a copy of another: what must differ is made anew
//   abort(id)                     the client went away
//   socketMessage(key, data)      a WebSocket of the host's has a message
//   socketClosed(key, code, reason, wasClean)   it is over
//   end(id)                       the request is over, but has not run its course, or something
//                                 floats after it: drop that
((globalThis) => {
const { core, internals, primordials } = globalThis.__bootstrap;
const {
  op_event_loop_has_more_work,
  op_holm_body_end,
  op_holm_body_fail,
  op_holm_body_was_left,
  op_holm_body_try_write,
  op_holm_body_write,
  op_holm_exception,
  op_holm_log_exception,
  op_holm_respond,
  op_holm_respond_resource,
  op_holm_respond_socket,
  op_holm_respond_stream,
  op_holm_settled,
  op_holm_share,
} = core.ops;
const {
  ArrayPrototypePush,
  Error,
  MapPrototypeDelete,
  MapPrototypeGet,
  MapPrototypeSet,
  ObjectPrototypeIsPrototypeOf,
  PromisePrototypeThen,
  PromiseResolve,
  ReflectApply,
  SafeArrayIterator,
  SafeMap,
  StringPrototypeToLowerCase,
  TypeError,
  TypedArrayPrototypeGetByteLength,
  WeakMapPrototypeGet,
} = primordials;

const { getAsyncContext, setAsyncContext } = core;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const event = core.loadExtScript("ext:deno_web/02_event.js");
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const { envOf } = core.loadExtScript("ext:holm/env.js");
const { problemOf, uncalled } = core.loadExtScript("ext:holm/exported.js");
const { IncomingRequest } = core.loadExtScript("ext:holm/incoming.js");
const { bytesOf, describe } = core.loadExtScript("ext:holm/values.js");
const { InnerBody } = core.loadExtScript("ext:deno_fetch/22_body.js");
const { abortRequest, fromInnerRequest } = core.loadExtScript("ext:deno_fetch/23_request.js");
const { ResponsePrototype, toInnerResponse, wireHeaderList } = core.loadExtScript(
  "ext:deno_fetch/23_response.js",
);
const {
  getReadableStreamResourceBacking,
  isReadableStreamDisturbed,
  ReadableStreamPrototype,
  readableStreamForRid,
  acquireReadableStreamDefaultReader,
  readableStreamDisturb,
} = core.loadExtScript("ext:deno_web/06_streams.js");

/** The module's default export and its handler. */
let exported;
let fetchHandler;
/** Makes `env` for a request, so that none sees what another added to it. */
let freshEnv;

/** Whether several requests run at the same time. */
let isShared = false;

/** The requests that this isolate is answering, by their numbers. */
const calls = new SafeMap();

/** The request that was begun last: whose the code is that runs, while only one does. */
let latest = null;

/** `ctx`, the third argument of a handler. */
class ExecutionContext {
  #call;

  constructor(call) {
    this.#call = call;
  }

  waitUntil(promise) {
    const call = this.#call;
    if (call.over) {
      throw new Error("waitUntil was called after the request had ended");
    }
    call.waiting++;
    call.promised++;
    PromisePrototypeThen(
      PromiseResolve(promise),
      () => {
        call.promised--;
        settle(call);
      },
      (error) => {
        op_holm_log_exception(error, "waitUntil: ");
        call.promised--;
        settle(call);
      },
    );
  }

  passThroughOnException() {
    // There is no origin behind this node to pass through to; accepted for portability.
  }
}
webidl.configureInterface(ExecutionContext);

/** One thing less to wait for; at zero the request has run its course. */
function settle(call) {
  if (--call.waiting === 0 && !call.over) {
    finish(call);
    op_holm_settled(call.id);
  }
}

/** The request has run its course: what it left floating is dropped. */
function finish(call) {
  // The host follows a body that passes through, and may have to abort the request yet.
  if (call.isPassing) return;
  call.over = true;
  MapPrototypeDelete(calls, call.id);
  internals.holmClearTimers(isShared ? call.id : undefined);
}

/** Answers with a body that is there; if nothing else is waited for, that was all. */
function sendFull(call, status, headers, body) {
  const isAll = call.waiting === 1;
  op_holm_respond(call.id, status, headers, body, isAll);
  call.waiting--;
  if (isAll) finish(call);
}

/** The headers of a response as a flat list: name, value, name, value... */
function flatHeaders(inner) {
  const list = wireHeaderList(inner);
  const flat = [];
  for (let i = 0; i < list.length; i++) {
    ArrayPrototypePush(flat, list[i][0], list[i][1]);
  }
  return flat;
}

function fail(call, error) {
  op_holm_exception(call.id, error);
  settle(call);
}

function respond(call, response) {
  try {
    if (!ObjectPrototypeIsPrototypeOf(ResponsePrototype, response)) {
      throw new TypeError(
        "the fetch handler must return a Response (or a promise of one), not " +
          describe(response, "an object that is no Response"),
      );
    }
    const inner = toInnerResponse(response);
    if (inner === undefined) {
      throw new TypeError("the fetch handler must return a real Response, not an imitation");
    }
    if (inner.type === "error") {
      throw new TypeError("the fetch handler returned Response.error()");
    }
    send(call, response, inner);
  } catch (error) {
    fail(call, error);
  }
}

function send(call, response, inner) {
  const headers = flatHeaders(inner);
  const { body, status } = inner;
  if (status === 101) {
    becomeSocket(call, response, headers);
    return;
  }
  if (body === null) {
    sendFull(call, status, headers, null);
    return;
  }
  if (body.unusable()) {
    throw new TypeError("the body of the returned Response has already been read");
  }
  const source = body.streamOrStatic;
  if (!ObjectPrototypeIsPrototypeOf(ReadableStreamPrototype, source)) {
    source.consumed = true;
    sendFull(call, status, headers, source.body);
    return;
  }
  const backing = getReadableStreamResourceBacking(source);
  if (backing && backing.autoClose && !isReadableStreamDisturbed(source)) {
    // A body that came from the host goes back there without passing through JavaScript.
    acquireReadableStreamDefaultReader(source);
    readableStreamDisturb(source);
    if (op_holm_respond_resource(call.id, status, headers, backing.rid)) {
      call.isPassing = true;
      settle(call);
      return;
    }
  }
  if (call.inner.method === "HEAD") {
    // The client wants the head alone.
    PromisePrototypeThen(source.cancel(), undefined, () => {});
    sendFull(call, status, headers, null);
    return;
  }
  const reader = acquireReadableStreamDefaultReader(source);
  const writer = op_holm_respond_stream(call.id, status, headers, body.length ?? -1);
  pump(call, reader, writer);
}

/** The request goes on as a WebSocket, and is over when that is. */
function becomeSocket(call, response, headers) {
  const socket = WeakMapPrototypeGet(internals.holmSockets, response);
  if (socket === undefined) {
    throw new TypeError(
      "a Response with status 101 needs a WebSocket: `new Response(null, { status: 101, webSocket })`",
    );
  }
  if (!asksForSocket(call)) {
    throw new TypeError(
      "the function answers with a WebSocket, and the request does not ask for one: it has no " +
        "`Upgrade: websocket`",
    );
  }
  op_holm_respond_socket(call.id, headers);
  core.loadExtScript("ext:holm/websocket.js").give(socket, call.id * 2, call);
}

function asksForSocket(call) {
  const list = call.inner.headerList;
  for (let i = 0; i < list.length; i++) {
    if (
      StringPrototypeToLowerCase(list[i][0]) === "upgrade" &&
      StringPrototypeToLowerCase(list[i][1]) === "websocket"
    ) {
      return true;
    }
  }
  return false;
}

internals.holmSocketOver = settle;

/**
 * From here on several requests run at the same time: one may be a socket that rests. Returns the one whose code runs.
 */
internals.holmShare = () => {
  if (isShared) {
    const id = getAsyncContext()?.holmRequest;
    return id === undefined ? null : MapPrototypeGet(calls, id) ?? null;
  }
  if (latest === null || latest.over) return null;
  isShared = true;
  op_holm_share();
  latest.context = { __proto__: null, holmRequest: latest.id };
  setAsyncContext(latest.context);
  return latest;
};

/** Code of `call` runs until what is returned is called. */
internals.holmEnter = (call) => {
  if (call === null) return () => {};
  const outer = getAsyncContext();
  enter(call);
  return () => setAsyncContext(outer);
};

async function pump(call, reader, writer) {
  call.reader = reader;
  try {
    while (true) {
      const { value, done } = await reader.read();
      if (done) break;
      const bytes = bytesOf(value);
      if (TypedArrayPrototypeGetByteLength(bytes) === 0) continue;
      if (!op_holm_body_try_write(writer, bytes)) {
        await op_holm_body_write(writer, bytes);
      }
    }
    op_holm_body_end(writer);
  } catch (error) {
    if (!call.aborted) {
      if (op_holm_body_was_left(call.id, writer)) {
        // The client went away while this was being written, which the host has not told yet.
        abort(call.id);
      } else {
        op_holm_exception(call.id, error);
        op_holm_body_fail(writer);
      }
    }
    PromisePrototypeThen(reader.cancel(error), undefined, () => {});
  }
  call.reader = null;
  settle(call);
}

/** What follows is the request's: the host looks it up when it logs or fetches. */
function enter(call) {
  if (isShared) setAsyncContext(call.context);
}

function leave() {
  if (isShared) setAsyncContext(undefined);
}

function handleFetch(id, method, url, bodyRid) {
  const call = {
    id,
    // The handler and its answer, and each promise given to waitUntil.
    waiting: 1,
    promised: 0,
    over: false,
    aborted: false,
    isPassing: false,
    reader: null,
    inner: null,
    request: null,
    context: isShared ? { __proto__: null, holmRequest: id } : undefined,
  };
  MapPrototypeSet(calls, id, call);
  latest = call;
  enter(call);
  try {
    const body = bodyRid === -1 ? null : new InnerBody(readableStreamForRid(bodyRid));
    const inner = new IncomingRequest(id, method, url, body);
    call.inner = inner;
    const request = fromInnerRequest(inner, "immutable");
    call.request = request;
    const result = ReflectApply(fetchHandler, exported, [
      request,
      freshEnv(),
      new ExecutionContext(call),
    ]);
    if (ObjectPrototypeIsPrototypeOf(ResponsePrototype, result)) {
      respond(call, result);
    } else {
      PromisePrototypeThen(
        PromiseResolve(result),
        (response) => respond(call, response),
        (error) => fail(call, error),
      );
    }
  } catch (error) {
    fail(call, error);
  }
  leave();
}

/**
 * The client went away: tells the function, and stops what was being sent.
 * Returns how many promises given to waitUntil are open.
 */
function abort(id) {
  const call = MapPrototypeGet(calls, id);
  if (call === undefined) return 0;
  if (!call.aborted) {
    call.aborted = true;
    enter(call);
    const cancelled = call.inner.cancelled;
    if (cancelled !== null) {
      cancelled();
    } else if (call.request !== null) {
      abortRequest(call.request);
    }
    if (call.reader !== null) {
      PromisePrototypeThen(
        call.reader.cancel(new DOMException("The client went away", "AbortError")),
        undefined,
        () => {},
      );
    }
    leave();
  }
  return call.promised;
}

function end(id) {
  const call = MapPrototypeGet(calls, id);
  if (call !== undefined) {
    call.over = true;
    MapPrototypeDelete(calls, id);
  }
  internals.holmClearTimers(isShared ? id : undefined);
}

function bind(namespace, vars, shared, assets) {
  isShared = shared;
  exported = namespace.default;
  freshEnv = envOf(vars, assets);
  const handler = exported?.fetch;
  const problem = problemOf(exported, handler);
  if (problem !== null) return problem;
  fetchHandler = handler;
  return uncalled(exported);
}

// What nobody catches ends in the request's log; the request itself goes on.
core.setUnhandledPromiseRejectionHandler((promise, reason) => {
  const rejection = new event.PromiseRejectionEvent("unhandledrejection", {
    promise,
    reason,
    cancelable: true,
  });
  globalThis.dispatchEvent(rejection);
  if (!rejection.defaultPrevented) {
    op_holm_log_exception(reason, "Uncaught (in promise) ");
  }
  return true;
});
core.setHandledPromiseRejectionHandler((promise, reason) => {
  globalThis.dispatchEvent(
    new event.PromiseRejectionEvent("rejectionhandled", { promise, reason }),
  );
});
core.setReportExceptionCallback(event.reportException);

/**
 * Answers requests while the base snapshot is made: what it compiles on the way is in the snapshot
 * then, and not in the CPU time of every isolate's first request. And again in an isolate that waits
 * for its function, so that the memory which a request touches is there. Whatever the answers are,
 * there is no host yet that takes them.
 */
function rehearse() {
  const text = () => new Response("rehearsed");
  const empty = () => new Response(null, { status: 204 });
  const plain = (request) =>
    new Response(`${request.method} ${new URL(request.url).pathname}`, {
      status: 200,
      headers: { "content-type": "text/plain" },
    });
  const json = async (request) => Response.json({ accept: request.headers.get("accept") });
  const thrower = () => {
    throw new Error("rehearsed");
  };
  let id = 0;
  for (const handler of new SafeArrayIterator([text, empty, plain, json, thrower])) {
    id++;
    bind({ default: { fetch: handler } }, "{}", false);
    handleFetch(id, "GET", "http://localhost/", -1);
    end(id);
    latest = null;
  }
  // As each copy does first.
  internals.holmForget();
  exported = freshEnv = fetchHandler = undefined;
}
rehearse();

/** Something may come with the answer to a fetch() that nobody has looked at: the first thing to do with sockets. */
function loadSockets() {
  if (internals.holmSocketMessage === undefined) core.loadExtScript("ext:holm/websocket.js");
}

globalThis.__holm = {
  abort,
  bind,
  end,
  fetch: handleFetch,
  forget: internals.holmForget,
  isPending: op_event_loop_has_more_work,
  lazy: internals.holmLazy,
  socketClosed: (key, code, reason, wasClean) => {
    loadSockets();
    internals.holmSocketClosed(key, code, reason, wasClean);
  },
  socketMessage: (key, data) => {
    loadSockets();
    internals.holmSocketMessage(key, data);
  },
  rehearse,
};
})(globalThis);
