export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const hoard = [];
    for (;;) {
      const stream = new CompressionStream("gzip");
      stream.writable.getWriter().write(new Uint8Array(1024));
      hoard.push(stream);
      await null;
    }
  },
};
