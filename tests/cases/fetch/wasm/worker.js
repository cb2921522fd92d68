// (module (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
//         (func (export "trap") unreachable))
const bytes = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 10, 2, 96, 2, 127, 127, 1, 127, 96, 0, 0, 3, 3, 2, 0, 1, 7, 14, 2, 3, 97, 100,
  100, 0, 0, 4, 116, 114, 97, 112, 0, 1, 10, 13, 2, 7, 0, 32, 0, 32, 1, 106, 11, 3, 0, 0, 11,
]);

export default {
  async fetch() {
    const { instance, module } = await WebAssembly.instantiate(bytes);
    let trap;
    try {
      instance.exports.trap();
    } catch (error) {
      trap = error.name;
    }
    return Response.json({
      sum: instance.exports.add(40, 2),
      valid: [WebAssembly.validate(bytes), WebAssembly.validate(new Uint8Array(4))],
      compile: await WebAssembly.compile(new Uint8Array(4)).catch((error) => error.name),
      trap,
      exports: WebAssembly.Module.exports(module).map(({ name }) => name),
    });
  },
};
