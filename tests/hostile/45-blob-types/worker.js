export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const hoard = [];
    try {
      for (let index = 0; index < 2_000; index += 1) {
        hoard.push(new Blob([], { type: index + "x".repeat(1 << 20) }));
      }
    } catch (error) {
      return new Response(error.name);
    }
    return new Response("survived");
  },
};
