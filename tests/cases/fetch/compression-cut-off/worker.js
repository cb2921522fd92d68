const FORMATS = ["gzip", "deflate", "deflate-raw", "brotli"];
const text = "expected output, ".repeat(3000) + crypto.randomUUID();

const through = (bytes, stream, size = bytes.length || 1) => {
  let at = 0;
  const source = new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at + size));
      at += size;
    },
  });
  return new Response(source.pipeThrough(stream)).bytes();
};
const outcome = (promise) =>
  promise.then((bytes) => new TextDecoder().decode(bytes) === text ? "whole" : "other", (error) => error.name);

// The output comes although the same chunk then goes on.
async function extra(format, packed) {
  const stream = new DecompressionStream(format);
  const reader = stream.readable.getReader();
  const written = stream.writable.getWriter().write(new Uint8Array([...packed, 0])).catch((error) => error.name);
  const { value } = await reader.read();
  const rest = await reader.read().then(() => "more", (error) => error.name);
  return [new TextDecoder().decode(value) === text, rest, await written].join();
}

export default {
  async fetch() {
    const report = {};
    for (const format of FORMATS) {
      const faults = [];
      const want = (what, expected, got) => {
        if (got !== expected) faults.push(`${what}: ${got}`);
      };
      const packed = await through(new TextEncoder().encode(text), new CompressionStream(format));
      const unpack = (bytes, size) => outcome(through(bytes, new DecompressionStream(format), size));
      for (const size of [packed.length, 1, 7]) {
        want(`whole by ${size}`, "whole", await unpack(packed, size));
        for (const length of [0, 1, 5, packed.length >> 1, packed.length - 5, packed.length - 1]) {
          want(`${length} bytes by ${size}`, "TypeError", await unpack(packed.slice(0, length), size));
        }
        want(`more by ${size}`, "TypeError", await unpack(new Uint8Array([...packed, 0]), size));
        want(`twice by ${size}`, "TypeError", await unpack(new Uint8Array([...packed, ...packed]), size));
      }
      want("extra", "true,TypeError,TypeError", await extra(format, packed));
      want("nonsense", "TypeError", await unpack(new TextEncoder().encode("\xffno such data")));
      want("type", "TypeError", await outcome(through(["text"], new DecompressionStream(format))));
      report[format] = faults;
    }
    return Response.json(report);
  },
};
