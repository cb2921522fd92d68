// A router that makes a method of every name, as itty-router does.
export default {
  __proto__: new Proxy({}, { get: () => () => {} }),
  fetch: () => new Response("hi"),
};
