// A number of the kind that modules are made of.
function leb(number) {
  const bytes = [];
  for (; number > 127; number >>>= 7) bytes.push((number & 127) | 128);
  return [...bytes, number];
}

// A module of `count` function types, whose parameters spell their numbers from `first` on in 32 and 64 bits.
function types(count, first) {
  const PARAMETERS = 22;
  const length = leb(count);
  const size = leb(length.length + count * (PARAMETERS + 3));
  const head = [0, 97, 115, 109, 1, 0, 0, 0, 1, ...size, ...length];
  const bytes = new Uint8Array(head.length + count * (PARAMETERS + 3));
  bytes.set(head);
  let at = head.length;
  for (let index = first; index < first + count; index += 1) {
    bytes[at++] = 0x60;
    bytes[at++] = PARAMETERS;
    for (let bit = 0; bit < PARAMETERS; bit += 1) bytes[at++] = (index >> bit) & 1 ? 0x7e : 0x7f;
    bytes[at++] = 0;
  }
  return bytes;
}

export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    for (let index = 0; index < 25; index += 1) {
      if (!WebAssembly.validate(types(100_000, index * 100_000))) return new Response("invalid");
    }
    return new Response("survived");
  },
};
