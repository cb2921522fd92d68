export default {
  async fetch(request, env) {
    const first = await (await fetch(`${env.ORIGIN}/echo`, { headers: { "x-own": "1", "x-hop": "1", connection: "x-hop" } })).json();
    const second = await (await fetch(`${env.ORIGIN}/echo`, { headers: { "user-agent": "mine/1" } })).json();
    return Response.json({
      agent: /^Holm/.test(first.headers["user-agent"]),
      host: `http://${first.headers.host}` === env.ORIGIN,
      own: first.headers["x-own"],
      hop: !("x-hop" in first.headers) && first.headers.connection !== "x-hop",
      mine: second.headers["user-agent"],
    });
  },
};
