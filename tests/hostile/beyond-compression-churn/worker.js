export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    for (let index = 0; index < 1000; index += 1) {
      const stream = new CompressionStream(index % 10 ? "gzip" : "brotli");
      const writer = stream.writable.getWriter();
      const all = new Response(stream.readable).arrayBuffer();
      await writer.write(new Uint8Array(1024));
      if (index % 2) {
        await writer.close();
        await all;
      }
      // What was collected is let go of between two turns.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    return new Response("survived");
  },
};
