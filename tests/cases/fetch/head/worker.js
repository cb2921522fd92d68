export default {
  fetch(request) {
    const headers = { "x-method": request.method };
    if (new URL(request.url).pathname !== "/stream") return new Response("twelve bytes", { headers });
    const stream = new ReadableStream({
      pull(controller) {
        controller.enqueue(new TextEncoder().encode("endless "));
      },
    });
    return new Response(stream, { headers });
  },
};
