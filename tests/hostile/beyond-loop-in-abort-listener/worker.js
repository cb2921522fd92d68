export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const stream = new ReadableStream({
      pull(controller) {
        controller.enqueue(new Uint8Array(1));
        controller.close();
        queueMicrotask(() => { for (;;); });
      },
    });
    return new Response(stream);
    return new Response("survived");
  },
};
