export default {
  fetch(request, env) {
    const before = structuredClone(env);
    env.TEXT = "changed";
    env.ADDED = 1;
    env.LIST?.push(4);
    env.LIST?.[1].deep.push(3);
    if (env.TABLE) env.TABLE.a.added = true;
    return Response.json({ before, after: env });
  },
};
