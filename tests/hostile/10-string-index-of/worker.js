export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const needle = "a".repeat(5e6) + "b" + "a".repeat(5e6);
    return new Response(String("a".repeat(2e7).indexOf(needle)));
    return new Response("survived");
  },
};
