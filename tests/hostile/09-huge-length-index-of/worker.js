export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    return new Response(String(Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1)));
  },
};
