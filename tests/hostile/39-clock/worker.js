export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const [date, now] = [Date.now(), performance.now()];
    let sum = 0;
    for (let index = 0; index < 3e6; index += 1) sum += index % 7;
    return Response.json({ date: Date.now() - date, now: performance.now() - now, sum: sum > 0, made: new Date() - date });
  },
};
