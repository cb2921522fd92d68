export default {
  async fetch(request, env, ctx) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    ctx.waitUntil(Promise.resolve().then(async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      for (;;);
    }));
    return new Response("answered");
    return new Response("survived");
  },
};
