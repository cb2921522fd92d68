export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const hoard = [];
    try {
      for (let index = 0; index < 10_000; index += 1) {
        hoard.push(new ArrayBuffer(0, { maxByteLength: 2 ** 32 }));
      }
    } catch (error) {
      return new Response(error.name);
    }
    return new Response("survived");
  },
};
