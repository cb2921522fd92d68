export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    for (;;) console.log("x".repeat(1e5));
    return new Response("survived");
  },
};
