export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const map = new Map();
    for (let index = 0; ; index += 1) map.set(index, { index });
    return new Response("survived");
  },
};
