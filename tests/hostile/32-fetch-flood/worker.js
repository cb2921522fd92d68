export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    let refused = 0;
    const all = [];
    for (let index = 0; index < 100_000; index += 1) {
      all.push(fetch(`${env.ORIGIN}/hello?${index}`).then((response) => response.text(), () => (refused += 1)));
    }
    await Promise.all(all);
    return new Response(`${refused} refused`);
    return new Response("survived");
  },
};
