// Response, with the `webSocket` that Workers have.
(function () {
const { core, internals, primordials } = __bootstrap;
const {
  ObjectDefineProperties,
  ObjectDefineProperty,
  ObjectGetOwnPropertyDescriptors,
  RangeError,
  ReflectConstruct,
  SafeWeakMap,
  TypeError,
  WeakMapPrototypeGet,
  WeakMapPrototypeSet,
} = primordials;
const { Response: Native } = core.loadExtScript("ext:deno_fetch/23_response.js");

/** The WebSockets of responses. */
const sockets = internals.holmSockets = new SafeWeakMap();

// It shares its prototype with the one that it stands in for, which makes the responses of fetch().
function Response(body = null, init = undefined) {
  if (new.target === undefined) {
    throw new TypeError("Class constructor Response cannot be invoked without 'new'");
  }
  const response = new.target === Response
    ? new Native(body, init)
    : ReflectConstruct(Native, [body, init], new.target);
  if (init !== undefined && init !== null) {
    const socket = init.webSocket;
    if (socket !== undefined && socket !== null) {
      if (response.status !== 101) {
        throw new RangeError("a Response with a webSocket has status 101");
      }
      core.loadExtScript("ext:holm/websocket.js").check(socket);
      WeakMapPrototypeSet(sockets, response, socket);
    }
  }
  return response;
}
ObjectDefineProperties(Response, ObjectGetOwnPropertyDescriptors(Native));
ObjectDefineProperty(Native.prototype, "constructor", {
  __proto__: null,
  value: Response,
  writable: true,
  enumerable: false,
  configurable: true,
});
ObjectDefineProperty(Native.prototype, "webSocket", {
  __proto__: null,
  get() {
    return WeakMapPrototypeGet(sockets, this) ?? null;
  },
  enumerable: true,
  configurable: true,
});

return { Response };
})();
