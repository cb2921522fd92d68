// A valid module of one custom section, padded to a little over 16 MiB.
function padded() {
  const size = 16 * 1024 * 1024;
  const length = [(size & 127) | 128, ((size >> 7) & 127) | 128, ((size >> 14) & 127) | 128, size >> 21];
  const head = [0, 97, 115, 109, 1, 0, 0, 0, 0, ...length, 0];
  const bytes = new Uint8Array(head.length + size - 1);
  bytes.set(head);
  return bytes;
}

export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    try {
      new WebAssembly.Module(padded());
    } catch (error) {
      return new Response(error.name);
    }
    return new Response("survived");
  },
};
