export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const hoard = [];
    try {
      for (let index = 0; index < 64; index += 1) {
        const { port1, port2 } = new MessageChannel();
        hoard.push(port1, port2);
        for (let sent = 0; sent < 256; sent += 1) port1.postMessage(new Uint8Array(1 << 16).fill(1));
      }
    } catch (error) {
      return new Response(error.name);
    }
    return new Response("survived");
  },
};
