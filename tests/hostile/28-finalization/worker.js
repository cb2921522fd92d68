export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const registry = new FinalizationRegistry(() => registry.register({}, 1));
    for (;;) registry.register({ padding: new Array(100) }, 1);
    return new Response("survived");
  },
};
