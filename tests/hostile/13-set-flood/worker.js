export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const set = new Set();
    for (let index = 0; ; index += 1) set.add(`entry ${index}`);
    return new Response("survived");
  },
};
