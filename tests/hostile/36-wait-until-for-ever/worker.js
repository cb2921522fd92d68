export default {
  async fetch(request, env, ctx) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    ctx.waitUntil(new Promise(() => {}));
    return new Response("answered");
    return new Response("survived");
  },
};
