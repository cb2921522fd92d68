// Anything may be thrown where nobody catches it.
const values = {
  string: "just a string",
  null: null,
  undefined: undefined,
  object: { code: 7 },
  symbol: Symbol("s"),
  bare: Object.create(null),
  getters: {
    get message() {
      throw new Error("from the getter");
    },
    get stack() {
      throw new Error("from the getter");
    },
    toString() {
      throw new Error("from toString");
    },
  },
  proxy: new Proxy(new Error("behind a proxy"), {
    get() {
      throw new Error("from the trap");
    },
    getPrototypeOf() {
      throw new Error("from the trap");
    },
  }),
};

export default {
  async fetch(request) {
    const [, way, name] = new URL(request.url).pathname.split("/");
    if (way === "reject") Promise.reject(values[name]);
    if (way === "report") reportError(values[name]);
    if (way === "timer") {
      setTimeout(() => {
        throw values[name];
      }, 0);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
    return new Response("answered");
  },
};
