// WebSocket and WebSocketPair, as Workers have them.
//
// A socket is one of three things: an end of a pair, whose other end is in this isolate too; the end that the host has
// (`key`), because the other end of its pair was given away in a Response; or a client's, which the host has as well.
(function () {
const { core, internals, primordials } = __bootstrap;
const {
  op_holm_socket_accept,
  op_holm_socket_begin,
  op_holm_socket_buffered,
  op_holm_socket_close,
  op_holm_socket_connect,
  op_holm_socket_open,
  op_holm_socket_send,
} = core.ops;
const {
  ArrayBufferIsView,
  ArrayPrototypePush,
  ArrayPrototypeShift,
  MapPrototypeDelete,
  MapPrototypeGet,
  MapPrototypeSet,
  ObjectDefineProperties,
  ObjectDefineProperty,
  ObjectPrototypeIsPrototypeOf,
  PromisePrototypeThen,
  PromiseResolve,
  ReflectApply,
  RegExpPrototypeExec,
  SafeMap,
  SafeRegExp,
  SafeSet,
  SafeWeakMap,
  SetPrototypeAdd,
  SetPrototypeHas,
  StringPrototypeToLowerCase,
  Symbol,
  SymbolIterator,
  TypeError,
  TypedArrayPrototypeGetByteLength,
  TypedArrayPrototypeSlice,
  TypedArrayPrototypeGetBuffer,
  Uint8Array,
  WeakMapPrototypeGet,
  WeakMapPrototypeSet,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const event = core.loadExtScript("ext:deno_web/02_event.js");
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const { Blob } = core.loadExtScript("ext:deno_web/09_file.js");
const { Headers } = core.loadExtScript("ext:deno_fetch/20_headers.js");
const { URL } = core.loadExtScript("ext:deno_web/00_url.js");
const { bytesOf, describe } = core.loadExtScript("ext:holm/values.js");
const { EventTarget, MessageEvent, CloseEvent, ErrorEvent, Event } = event;

const CONNECTING = 0;
const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;

/** What the constructor is called with from in here. */
const internal = Symbol("internal");

/** What is known of a socket, away from where a function could change it. */
const states = new SafeWeakMap();

/** Sockets that the host has, by their keys. */
const hosted = new SafeMap();

/** What came, by their keys, for those that have not been taken up: it may be there with the answer that opens them. */
const early = new SafeMap();

function stateOf(socket) {
  const state = WeakMapPrototypeGet(states, socket);
  if (state === undefined) throw new TypeError("Illegal invocation");
  return state;
}

function newState(socket) {
  return {
    socket,
    readyState: OPEN,
    /** The other end of the pair. */
    peer: null,
    /** Where the host has the other end; -1: it has not. */
    key: -1,
    /** It was given away in a Response. */
    isGiven: false,
    isAccepted: false,
    /** A client of the standard: what is sent behind its close is dropped, and does not throw. */
    isStandard: false,
    /** What came, and was not looked at: each is called with this. */
    inbox: [],
    hasClosed: false,
    call: null,
    binaryType: "arraybuffer",
    url: null,
    protocol: "",
    extensions: "",
  };
}

class WebSocket extends EventTarget {
  constructor(url, protocols = []) {
    super();
    const state = newState(this);
    WeakMapPrototypeSet(states, this, state);
    this[webidl.brand] = webidl.brand;
    if (url === internal) return;
    const prefix = "Failed to construct 'WebSocket'";
    webidl.requiredArguments(arguments.length, 1, prefix);
    state.isStandard = true;
    state.isAccepted = true;
    state.readyState = CONNECTING;
    connect(state, targetOf(webidl.converters.USVString(url, prefix, "Argument 1")), protocolsOf(protocols));
  }

  get readyState() {
    return stateOf(this).readyState;
  }
  get url() {
    return stateOf(this).url;
  }
  get protocol() {
    return stateOf(this).protocol;
  }
  get extensions() {
    return stateOf(this).extensions;
  }
  get bufferedAmount() {
    const state = stateOf(this);
    return state.key === -1 ? 0 : op_holm_socket_buffered(state.key);
  }
  get binaryType() {
    return stateOf(this).binaryType;
  }
  set binaryType(type) {
    const state = stateOf(this);
    type = `${type}`;
    if (type === "arraybuffer" || type === "blob") state.binaryType = type;
  }

  accept() {
    const state = stateOf(this);
    if (state.isGiven) {
      throw new TypeError("this WebSocket was given away in a Response: accept its other end");
    }
    if (state.isStandard) {
      throw new TypeError("a WebSocket made with `new` accepts by itself");
    }
    if (state.isAccepted) return;
    share(state);
    state.isAccepted = true;
    if (state.key !== -1) op_holm_socket_accept(state.key);
    if (state.inbox.length > 0) later(() => pump(state));
  }

  send(data) {
    const state = stateOf(this);
    webidl.requiredArguments(arguments.length, 1, "Failed to execute 'send' on 'WebSocket'");
    if (state.readyState === CONNECTING) {
      throw new DOMException("the WebSocket is not open yet", "InvalidStateError");
    }
    if (!state.isAccepted) {
      throw new TypeError("call accept() on this WebSocket before you send messages");
    }
    data = payloadOf(data);
    if (state.hasClosed && !state.isStandard) {
      throw new TypeError("send() was called behind close()");
    }
    // The other side is gone, or about to be: as browsers do.
    if (state.readyState !== OPEN) return;
    if (state.key !== -1) {
      op_holm_socket_send(state.key, data);
    } else if (state.peer !== null) {
      post(state.peer, { __proto__: null, data: typeof data === "string" ? data : bufferOf(data) });
    }
  }

  close(code = undefined, reason = undefined) {
    const state = stateOf(this);
    let status = 1005;
    if (code !== undefined) {
      status = webidl.converters["unsigned short"](code, undefined, undefined, { clamp: true });
      const isSendable = status >= 1000 && status < 5000 && status !== 1004 && status !== 1005 &&
        status !== 1006 && status !== 1015;
      if (!isSendable) {
        throw new DOMException(`${status} is no code to close with`, "InvalidAccessError");
      }
    }
    reason = reason === undefined ? "" : webidl.converters.USVString(reason);
    if (TypedArrayPrototypeGetByteLength(core.encode(reason)) > 123) {
      throw new DOMException("the reason of a close has at most 123 bytes", "SyntaxError");
    }
    if (reason !== "" && code === undefined) {
      throw new TypeError("a reason to close with needs a code");
    }
    if (!state.isAccepted && !state.isStandard) {
      throw new TypeError("call accept() on this WebSocket before you close it");
    }
    if (state.hasClosed || state.readyState === CLOSED) return;
    state.hasClosed = true;
    const wasConnecting = state.readyState === CONNECTING;
    state.readyState = CLOSING;
    // What it connects to is told when it is there.
    if (wasConnecting) return;
    if (state.key !== -1) {
      op_holm_socket_close(state.key, status, reason);
    } else if (state.peer !== null) {
      post(state.peer, { __proto__: null, close: { code: status, reason, wasClean: true } });
    }
  }
}
webidl.configureInterface(WebSocket);
const constants = { CONNECTING, OPEN, CLOSING, CLOSED };
for (const name in constants) {
  const constant = { __proto__: null, value: constants[name], enumerable: true };
  ObjectDefineProperty(WebSocket, name, constant);
  ObjectDefineProperty(WebSocket.prototype, name, constant);
  // As Workers have them.
  ObjectDefineProperty(WebSocket, `READY_STATE_${name}`, constant);
}
event.defineEventHandler(WebSocket.prototype, "open");
event.defineEventHandler(WebSocket.prototype, "message");
event.defineEventHandler(WebSocket.prototype, "close");
event.defineEventHandler(WebSocket.prototype, "error");

/** `const { 0: client, 1: server } = new WebSocketPair()` */
class WebSocketPair {
  constructor() {
    const one = new WebSocket(internal);
    const other = new WebSocket(internal);
    const state = stateOf(one);
    const otherState = stateOf(other);
    state.peer = otherState;
    otherState.peer = state;
    this[0] = one;
    this[1] = other;
  }
}
ObjectDefineProperties(WebSocketPair.prototype, {
  [SymbolIterator]: {
    __proto__: null,
    *value() {
      yield this[0];
      yield this[1];
    },
    writable: true,
    configurable: true,
  },
});

/** From here on events of this isolate tell whose they are. */
function share(state) {
  const call = internals.holmShare();
  if (state.call === null) state.call = call;
}

function later(work) {
  PromisePrototypeThen(PromiseResolve(), work);
}

/** A copy of bytes that a function may change. */
function bufferOf(bytes) {
  return TypedArrayPrototypeGetBuffer(TypedArrayPrototypeSlice(bytes));
}

/** Text, or a Uint8Array. */
function payloadOf(data) {
  if (typeof data === "string") return webidl.converters.USVString(data);
  if (core.isArrayBuffer(data)) return new Uint8Array(data);
  if (ArrayBufferIsView(data)) return bytesOf(data);
  if (ObjectPrototypeIsPrototypeOf(Blob.prototype, data)) {
    throw new TypeError("a Blob cannot be sent: send what its arrayBuffer() gives");
  }
  return webidl.converters.USVString(data);
}

/** Something for the other end of a pair, which hears of it in a moment. */
function post(state, item) {
  ArrayPrototypePush(state.inbox, item);
  if (state.isAccepted) later(() => pump(state));
}

/** Tells a socket what came for it. */
function pump(state) {
  while (state.isAccepted && state.inbox.length > 0) {
    take(state, ArrayPrototypeShift(state.inbox));
  }
}

function take(state, item) {
  if (item.close === undefined) {
    receive(state, item.data);
    return;
  }
  const { code, reason, wasClean } = item.close;
  const { peer } = state;
  state.peer = null;
  ended(state, code, reason, wasClean);
  // It answers by itself.
  if (peer !== null) later(() => ended(peer, code, reason, wasClean));
}

/** Calls the function, on behalf of the request that the socket belongs to. */
function run(state, work) {
  const leave = internals.holmEnter(state.call);
  try {
    work();
  } finally {
    leave();
  }
}

function receive(state, data) {
  // Behind its own close it hears nothing more.
  if (state.readyState !== OPEN) return;
  if (typeof data !== "string" && state.binaryType === "blob") data = new Blob([data]);
  run(state, () => {
    state.socket.dispatchEvent(new MessageEvent("message", { data, origin: state.url ?? "" }));
  });
}

/** A socket is over. */
function ended(state, code, reason, wasClean) {
  if (state.readyState === CLOSED) return;
  state.readyState = CLOSED;
  run(state, () => {
    state.socket.dispatchEvent(new CloseEvent("close", { code, reason, wasClean }));
  });
}

/** A socket that never opened. */
function failed(state, error) {
  if (state.readyState === CLOSED) return;
  state.readyState = CLOSED;
  run(state, () => {
    state.socket.dispatchEvent(new ErrorEvent("error", { error, message: error.message }));
    state.socket.dispatchEvent(
      new CloseEvent("close", { code: 1006, reason: "", wasClean: false }),
    );
  });
}

/** The URL to ask, for one that may be of a WebSocket. */
function targetOf(url) {
  let target;
  try {
    target = new URL(url);
  } catch (error) {
    throw new DOMException(error.message, "SyntaxError");
  }
  if (target.protocol === "http:") target.protocol = "ws:";
  if (target.protocol === "https:") target.protocol = "wss:";
  if (target.protocol !== "ws:" && target.protocol !== "wss:") {
    throw new DOMException(`a WebSocket is at ws: or wss:, not at ${target.protocol}`, "SyntaxError");
  }
  if (target.hash !== "") {
    throw new DOMException("the URL of a WebSocket has no fragment", "SyntaxError");
  }
  return target;
}

function protocolsOf(protocols) {
  const list = typeof protocols === "string"
    ? [protocols]
    : webidl.converters["sequence<DOMString>"](protocols, "Failed to construct 'WebSocket'", "Argument 2");
  const seen = new SafeSet();
  for (let i = 0; i < list.length; i++) {
    const name = StringPrototypeToLowerCase(list[i]);
    if (RegExpPrototypeExec(TOKEN, list[i]) === null || SetPrototypeHas(seen, name)) {
      throw new DOMException(`"${list[i]}" is no protocol, or is there twice`, "SyntaxError");
    }
    SetPrototypeAdd(seen, name);
  }
  return list;
}
const TOKEN = new SafeRegExp(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/);

async function connect(state, target, protocols) {
  state.url = target.href;
  share(state);
  // The request itself is one of HTTP.
  target.protocol = target.protocol === "ws:" ? "http:" : "https:";
  let opened;
  try {
    opened = await op_holm_socket_connect(op_holm_socket_begin(target.href, protocols));
  } catch (error) {
    failed(state, error);
    return;
  }
  const { 0: key, 1: protocol } = opened;
  state.protocol = protocol;
  takeUp(state, key);
  op_holm_socket_accept(key);
  if (state.readyState !== CONNECTING) {
    op_holm_socket_close(key, 1000, "");
    pump(state);
    return;
  }
  state.readyState = OPEN;
  run(state, () => state.socket.dispatchEvent(new Event("open")));
  pump(state);
}

/** The host has this one, as `key`. */
function takeUp(state, key) {
  state.key = key;
  MapPrototypeSet(hosted, key, state);
  const items = MapPrototypeGet(early, key);
  if (items === undefined) return;
  MapPrototypeDelete(early, key);
  state.inbox = items;
  // Nothing follows a close.
  if (items[items.length - 1].close !== undefined) MapPrototypeDelete(hosted, key);
}

/** Keeps what came for a socket that is still to be taken up. */
function keep(key, item) {
  const items = MapPrototypeGet(early, key);
  if (items === undefined) MapPrototypeSet(early, key, [item]);
  else ArrayPrototypePush(items, item);
}

/** Says why this cannot be the `webSocket` of a Response, if it cannot. */
function check(socket) {
  const state = WeakMapPrototypeGet(states, socket);
  if (state === undefined) {
    throw new TypeError(
      "the webSocket of a Response must be a WebSocket, not " +
        describe(socket, "an object that is none"),
    );
  }
}

/** The socket was returned in a Response: what its other end says goes to the host from here on, as `key`. */
function give(socket, key, call) {
  const state = stateOf(socket);
  const server = state.peer;
  if (server === null || state.isAccepted || state.isGiven) {
    throw new TypeError(
      "the webSocket of a Response must be an end of a WebSocketPair that was neither accepted nor " +
        "given away: accept its other end",
    );
  }
  state.isGiven = true;
  state.peer = null;
  server.peer = null;
  internals.holmShare();
  server.call = call;
  server.key = key;
  MapPrototypeSet(hosted, key, server);
  op_holm_socket_open(key, call.id);
  if (server.isAccepted) op_holm_socket_accept(key);
  // What was said before.
  const { inbox } = state;
  state.inbox = [];
  for (let i = 0; i < inbox.length; i++) {
    const { data, close } = inbox[i];
    if (close !== undefined) op_holm_socket_close(key, close.code, close.reason);
    else op_holm_socket_send(key, typeof data === "string" ? data : new Uint8Array(data));
  }
}

/** The answer to a fetch() that asked for a WebSocket: the function finds it there. */
function adopt(response) {
  const key = ReflectApply(headerOf, response.headers, ["holm-socket"]);
  if (key === null) return;
  const socket = new WebSocket(internal);
  const state = stateOf(socket);
  share(state);
  takeUp(state, +key);
  WeakMapPrototypeSet(internals.holmSockets, response, socket);
}
const headerOf = Headers.prototype.get;

/** The host has a message. */
internals.holmSocketMessage = (key, data) => {
  const state = MapPrototypeGet(hosted, key);
  if (state === undefined) {
    keep(key, { __proto__: null, data });
    return;
  }
  if (state.isAccepted && state.readyState !== CONNECTING && state.inbox.length === 0) {
    receive(state, data);
  } else {
    ArrayPrototypePush(state.inbox, { __proto__: null, data });
  }
};

/** The host says that a socket is over. */
internals.holmSocketClosed = (key, code, reason, wasClean) => {
  const state = MapPrototypeGet(hosted, key);
  if (state === undefined) {
    keep(key, { __proto__: null, close: { code, reason, wasClean } });
    return;
  }
  MapPrototypeDelete(hosted, key);
  if (state.isAccepted && state.inbox.length === 0) {
    ended(state, code, reason, wasClean);
  } else {
    ArrayPrototypePush(state.inbox, { __proto__: null, close: { code, reason, wasClean } });
  }
  // A socket that the function opened is no reason for its request to go on; one that the request is, was.
  if (key % 2 === 0 && state.call !== null) internals.holmSocketOver(state.call);
};

return { adopt, check, give, WebSocket, WebSocketPair };
})();
