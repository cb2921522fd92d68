export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    new Function("for (;;);")();
    return new Response("survived");
  },
};
