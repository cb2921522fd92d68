const pass = (data, stream) => new Response(new Response(data).body.pipeThrough(stream)).arrayBuffer();

export default {
  async fetch(request) {
    const text = await request.text();
    const result = {};
    for (const format of ["gzip", "deflate", "deflate-raw"]) {
      const packed = await pass(text, new CompressionStream(format));
      const unpacked = await pass(packed, new DecompressionStream(format));
      result[format] = [packed.byteLength < text.length, new TextDecoder().decode(unpacked) === text];
    }
    result.broken = await pass("no gzip at all", new DecompressionStream("gzip"))
      .then(() => "accepted", (error) => error.name);
    return Response.json(result);
  },
};
