const source = () => ReadableStream.from(["a", "b", "c"]).pipeThrough(new TextEncoderStream());

export default {
  async fetch() {
    const both = await Promise.all(source().tee().map((half) => new Response(half).text()));
    let canceled;
    const stream = new ReadableStream({
      cancel(reason) {
        canceled = reason;
      },
    });
    await stream.cancel("enough");
    return Response.json({ both, canceled });
  },
};
