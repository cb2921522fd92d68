// (module (func (export "run") (loop $l (br $l))))
const bytes = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 7, 1, 3, 114, 117, 110, 0, 0, 10,
  10, 1, 8, 0, 3, 64, 12, 0, 11, 0, 11,
]);

export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const { instance } = await WebAssembly.instantiate(bytes);
    instance.exports.run();
    return new Response("survived");
  },
};
