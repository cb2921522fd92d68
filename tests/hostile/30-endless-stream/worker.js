export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const chunk = new Uint8Array(65536);
    const stream = new ReadableStream({
      async pull(controller) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        controller.enqueue(chunk.slice());
      },
    });
    return new Response(stream);
    return new Response("survived");
  },
};
