export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const hoard = [];
    try {
      for (let index = 0; index < 24; index += 1) {
        const buffer = new ArrayBuffer(1, { maxByteLength: 64 * 1024 * 1024 });
        buffer.resize(64 * 1024 * 1024);
        new Uint8Array(buffer).fill(1);
        hoard.push(buffer);
      }
    } catch (error) {
      return new Response(error.name);
    }
    return new Response("survived");
  },
};
