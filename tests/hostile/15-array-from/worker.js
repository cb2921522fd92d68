export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    return new Response(String(Array.from({ length: 1e8 }).length));
    return new Response("survived");
  },
};
