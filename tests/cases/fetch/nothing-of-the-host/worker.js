const names = [
  "process", "Deno", "require", "__bootstrap", "Bun", "Buffer", "module", "exports", "global", "bootstrap",
  "primordials", "internals", "core", "ops", "gc", "d8", "print", "load", "read", "quit", "op_panic", "Worker",
  "SharedArrayBuffer", "importScripts", "document", "window",
];

export default {
  fetch() {
    return Response.json({
      found: names.filter((name) => typeof globalThis[name] !== "undefined"),
      own: Reflect.ownKeys(globalThis)
        .map(String)
        .filter((name) => /deno|bootstrap|internal|primordial|^op_|snapshot/i.test(name)),
      constructor: fetch.constructor("return this")() === globalThis,
    });
  },
};
