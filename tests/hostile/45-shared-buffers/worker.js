export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const hoard = [];
    try {
      const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
      const Shared = memory.buffer.constructor;
      for (let index = 0; index < 64; index += 1) {
        const size = 16 << 20;
        if (new URL(request.url).pathname === "/growable") {
          const buffer = new Shared(1, { maxByteLength: size });
          buffer.grow(size);
          hoard.push(new Uint8Array(buffer).fill(1));
        } else {
          hoard.push(new Uint8Array(new Shared(size)).fill(1));
        }
      }
    } catch (error) {
      return new Response(error.name);
    }
    return new Response("survived");
  },
};
