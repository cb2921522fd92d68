// A loop of array.new_default, each dropped by the next.
const bytes = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 2, 94, 127, 1, 96, 0, 0, 3, 2, 1, 1, 7, 7, 1, 3, 114, 117, 110,
  0, 0, 10, 21, 1, 19, 1, 1, 99, 0, 3, 64, 65, 232, 7, 251, 7, 0, 33, 0, 12, 0, 11, 0, 11,
]);

export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const { instance } = await WebAssembly.instantiate(bytes);
    instance.exports.run();
    return new Response("survived");
  },
};
