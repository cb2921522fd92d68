const bytes = (text) => new TextEncoder().encode(text);
const padded = (text) => new Uint8Array([0, 0, ...bytes(text), 0]).buffer;

const chunks = () => [
  "text é \uD800!|",
  bytes("buffer|").buffer,
  new DataView(padded("vi"), 2, 2),
  new Uint16Array(padded("ew"), 2, 1),
  new Int8Array(padded("s|"), 2, 2),
  "",
  new ArrayBuffer(0),
  "empty|",
  bytes("done"),
];

export default {
  fetch(request, env, ctx) {
    if (request.url.endsWith("/transform")) {
      const { readable, writable } = new TransformStream();
      const writer = writable.getWriter();
      const write = async () => {
        for (const chunk of chunks()) await writer.write(chunk);
        await writer.close();
      };
      ctx.waitUntil(write());
      return new Response(readable);
    }
    const left = chunks();
    return new Response(
      new ReadableStream({
        async pull(controller) {
          await new Promise((resolve) => setTimeout(resolve, 1));
          controller.enqueue(left.shift());
          if (left.length === 0) controller.close();
        },
      }),
    );
  },
};
