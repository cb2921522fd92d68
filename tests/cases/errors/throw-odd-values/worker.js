const values = {
  null: null,
  undefined: undefined,
  string: "just a string",
  symbol: Symbol("s"),
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
  proxy: new Proxy({}, {
    get() {
      throw new Error("from the trap");
    },
  }),
  cause: new Error("outer", { cause: new Error("inner") }),
  response: new Response("thrown, not returned"),
};

export default {
  fetch(request) {
    throw values[new URL(request.url).pathname.slice(1)];
  },
};
