function pollute() {
  Object.prototype.polluted = true;
  Object.prototype.then = function (resolve) {
    resolve("hijacked");
  };
  Object.prototype.status = 418;
  Object.prototype.headers = { "x-polluted": "1" };
  Array.prototype[Symbol.iterator] = function* () {};
  Array.prototype.push = () => 0;
  Array.prototype.map = () => [];
  Promise.prototype.then = () => Promise.reject(new Error("hijacked"));
  Map.prototype.get = () => undefined;
  String.prototype.split = () => [];
  Function.prototype.call = () => undefined;
  Function.prototype.apply = () => undefined;
  Symbol.prototype[Symbol.toPrimitive] = () => "hijacked";
  globalThis.Response = undefined;
  globalThis.Promise = undefined;
  throw new Error("polluted, and thrown");
}

export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const { pathname } = new URL(request.url);
    if (pathname === "/pollute") pollute();
    if (pathname === "/loop") for (;;);
    return Response.json({ clean: !("polluted" in {}) && [...[1]].length === 1 });
  },
};
