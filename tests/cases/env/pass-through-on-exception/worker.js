export default {
  fetch(request, env, ctx) {
    return Response.json({ result: String(ctx.passThroughOnException()), waits: typeof ctx.waitUntil });
  },
};
