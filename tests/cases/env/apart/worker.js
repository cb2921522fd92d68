export default {
  fetch(request, env) {
    globalThis.count = (globalThis.count ?? 0) + 1;
    return Response.json({ name: env.NAME, count: globalThis.count });
  },
};
