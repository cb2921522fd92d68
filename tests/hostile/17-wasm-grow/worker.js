export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const memory = new WebAssembly.Memory({ initial: 1 });
    try {
      for (let index = 0; index < 200; index += 1) {
        const before = memory.grow(160);
        new Uint8Array(memory.buffer, before * 65536).fill(1);
      }
    } catch (error) {
      return new Response(error.name);
    }
    return new Response("survived");
  },
};
