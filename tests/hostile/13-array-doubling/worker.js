export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    let array = [1];
    for (;;) array = [...array, ...array];
    return new Response("survived");
  },
};
