const values = { number: 5, object: { a: 1 }, null: null, undefined: undefined };
const pause = () => new Promise((resolve) => setTimeout(resolve, 5));

export default {
  async fetch(request, env, ctx) {
    const [, when, what] = new URL(request.url).pathname.split("/");
    if (when === "read") {
      const text = new Response(new ReadableStream({ start: (c) => c.enqueue("text") })).text();
      return new Response(await text.catch((error) => error.name));
    }
    if (when === "writer") {
      const { readable, writable } = new TransformStream();
      const writer = writable.getWriter();
      const write = async () => {
        for (;;) await writer.write(5);
      };
      ctx.waitUntil(write().catch((error) => console.log("the writer learns:", error.message)));
      return new Response(readable);
    }
    let pulls = when === "first" ? 1 : 0;
    return new Response(
      new ReadableStream({
        async pull(controller) {
          if (when === "later") await pause();
          pulls += 1;
          if (pulls === 1) controller.enqueue(new TextEncoder().encode("begin"));
          else if (what === "error") controller.error(new Error("mine"));
          else controller.enqueue(values[what]);
        },
      }),
    );
  },
};
