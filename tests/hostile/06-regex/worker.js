export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    return new Response(String(/^(a+)+$/.test("a".repeat(40) + "b")));
  },
};
