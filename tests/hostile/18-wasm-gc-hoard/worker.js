// A list that grows by one array for each turn of the loop.
const bytes = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 15, 3, 94, 127, 1, 95, 2, 99, 1, 0, 99, 0, 0, 96, 0, 0, 3, 2, 1,
  2, 6, 7, 1, 99, 1, 1, 208, 113, 11, 7, 7, 1, 3, 114, 117, 110, 0, 0, 10, 24, 1, 22, 0, 3, 64, 35,
  0, 65, 144, 206, 0, 251, 7, 0, 251, 0, 1, 36, 0, 12, 0, 11, 0, 11,
]);

export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const { instance } = await WebAssembly.instantiate(bytes);
    instance.exports.run();
    return new Response("survived");
  },
};
