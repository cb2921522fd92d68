import module from "./add.wasm";

export default {
  async fetch() {
    const { exports } = await WebAssembly.instantiate(module);
    return Response.json({ module: module instanceof WebAssembly.Module, sum: exports.add(40, 2) });
  },
};
