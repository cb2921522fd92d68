export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    for (;;) {
      try {
        for (;;);
      } catch {
        // Try again.
      }
    }
    return new Response("survived");
  },
};
