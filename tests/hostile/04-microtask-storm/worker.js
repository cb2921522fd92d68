export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    (function storm() {
      Promise.resolve().then(storm);
    })();
    return new Response("survived");
  },
};
