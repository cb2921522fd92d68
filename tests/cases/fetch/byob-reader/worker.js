export default {
  async fetch(request) {
    const data = new Uint8Array(await request.arrayBuffer());
    const stream = new ReadableStream({
      type: "bytes",
      start(controller) {
        controller.enqueue(data);
        controller.close();
      },
    });
    const reader = stream.getReader({ mode: "byob" });
    const parts = [];
    for (;;) {
      const { value, done } = await reader.read(new Uint8Array(4));
      if (done) break;
      parts.push(new TextDecoder().decode(value));
    }
    return Response.json({ parts });
  },
};
