export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    Array.prototype.forEach.call({ length: 2 ** 53 - 1 }, () => {});
    return new Response("survived");
  },
};
