const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);
const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));
const compile = (source) =>
  WebAssembly.compileStreaming(
    new Response(new ReadableStream(source), { headers: { "content-type": "application/wasm" } }),
  );
const endless = () =>
  compile({
    start: (controller) => controller.enqueue(bytes.slice(0, 4)),
    pull: () => new Promise(() => {}),
  });

export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/left-behind") {
      endless();
      return new Response("left");
    }
    if (pathname === "/never-ends") await endless();
    const module = await compile({
      async pull(controller) {
        await pause(1500);
        controller.enqueue(bytes);
        controller.close();
      },
    });
    return new Response(String(module instanceof WebAssembly.Module));
  },
};
