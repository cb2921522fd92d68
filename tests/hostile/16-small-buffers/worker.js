export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const hoard = [];
    try {
      for (;;) hoard.push(new Uint8Array(64 * 1024).fill(1));
    } catch (error) {
      return new Response(error.name);
    }
    return new Response("survived");
  },
};
