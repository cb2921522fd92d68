export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    return new Response(String("a".repeat(2e7).replaceAll("a", "bcdefghijklmnop").length));
    return new Response("survived");
  },
};
