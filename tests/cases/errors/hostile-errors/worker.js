// Errors that fight back, thrown where nobody catches them and out of the handler.
const throwing = () => {
  throw new Error("from the getter");
};

const makers = {
  stack: () => Object.defineProperty(new Error("mine"), "stack", { get: throwing }),
  name: () => Object.defineProperty(new Error("mine"), "name", { get: throwing }),
  message: () => Object.defineProperty(new Error("mine"), "message", { get: throwing }),
  cause: () => Object.defineProperty(new Error("mine"), "cause", { get: throwing }),
  number: () => Object.defineProperty(new Error("mine"), "stack", { value: 7 }),
  itself: () => {
    const error = new Error("mine");
    error.cause = error;
    return error;
  },
  forged: () => {
    const error = new Error("mine");
    error.stack = "Error: mine\n    at f (file:///worker.js:1:1)\n    at (file:///worker.js:0:0)";
    return error;
  },
  lines: () => new Error("one\n    at two (file:///worker.js:4:3)\n    at ext:three"),
  huge: () => new Error("é".repeat(1 << 20)),
  prepared: () => {
    Error.prepareStackTrace = (error, sites) => `${error.message} of ${sites.length > 0}`;
    return new Error("mine");
  },
  object: () => {
    Error.prepareStackTrace = (_error, sites) => sites;
    return new Error("mine");
  },
  thrower: () => {
    Error.prepareStackTrace = throwing;
    return new Error("mine");
  },
  replaced: () => {
    const error = new Error("mine");
    globalThis.Error = class Error {};
    return error;
  },
};

const plain = Error;

export default {
  async fetch(request) {
    const [, way, name] = new URL(request.url).pathname.split("/");
    globalThis.Error = plain;
    delete Error.prepareStackTrace;
    if (way === "throw") throw makers[name]();
    if (way === "report") reportError(makers[name]());
    if (way === "reject") Promise.reject(makers[name]());
    if (way === "print") console.log(makers[name]());
    await new Promise((resolve) => setTimeout(resolve, 5));
    return new Response("answered");
  },
};
