export default {
  fetch(request, env, ctx) {
    ctx.waitUntil("no promise");
    const { waitUntil } = ctx;
    try {
      waitUntil(Promise.resolve());
      return new Response("accepted");
    } catch (error) {
      return new Response(error.name);
    }
  },
};
