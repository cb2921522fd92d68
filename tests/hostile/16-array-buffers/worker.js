export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const hoard = [];
    try {
      for (let index = 0; index < 24; index += 1) hoard.push(new Uint8Array(64 * 1024 * 1024).fill(1));
    } catch (error) {
      return new Response(error.name);
    }
    return new Response("survived");
  },
};
