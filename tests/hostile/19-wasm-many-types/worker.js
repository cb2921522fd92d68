// A module whose type section holds `count` function types.
function manyTypes(count) {
  const length = [];
  for (let left = count; ; left >>>= 7) {
    length.push(left > 127 ? (left & 127) | 128 : left);
    if (left <= 127) break;
  }
  const body = [...length];
  const size = [];
  for (let left = body.length + 3 * count; ; left >>>= 7) {
    size.push(left > 127 ? (left & 127) | 128 : left);
    if (left <= 127) break;
  }
  const head = [0, 97, 115, 109, 1, 0, 0, 0, 1, ...size, ...body];
  const bytes = new Uint8Array(head.length + 3 * count);
  bytes.set(head);
  for (let at = head.length; at < bytes.length; at += 3) bytes[at] = 0x60;
  return bytes;
}

export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    try {
      const module = new WebAssembly.Module(manyTypes(900_000));
      return new Response(typeof module);
    } catch (error) {
      return new Response(error.name);
    }
    return new Response("survived");
  },
};
