export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    globalThis.ticks ??= 0;
    if (new URL(request.url).pathname === "/ticks") return new Response(String(globalThis.ticks > 0));
    setInterval(() => (globalThis.ticks += 1), 1);
    return new Response("answered");
    return new Response("survived");
  },
};
