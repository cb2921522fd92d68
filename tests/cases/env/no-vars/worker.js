export default {
  fetch(request, env) {
    return Response.json({ keys: Object.keys(env), type: typeof env });
  },
};
