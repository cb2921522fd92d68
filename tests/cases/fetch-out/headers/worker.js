export default {
  async fetch(request, env) {
    const first = await (await fetch(`${env.ORIGIN}/echo`, { headers: { "x-own": "1", connection: "x-own" } })).json();
    const second = await (await fetch(`${env.ORIGIN}/echo`, { headers: { "user-agent": "mine/1" } })).json();
    return Response.json({
      agent: /^Holm/.test(first.headers["user-agent"]),
      host: `http://${first.headers.host}` === env.ORIGIN,
      own: first.headers["x-own"],
      connection: !("connection" in first.headers) || first.headers.connection !== "x-own",
      mine: second.headers["user-agent"],
    });
  },
};
