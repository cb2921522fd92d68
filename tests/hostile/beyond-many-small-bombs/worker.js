export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    for (;;);
    return new Response("survived");
  },
};
