const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);
const response = (type) => new Response(bytes, { headers: { "content-type": type } });

export default {
  async fetch() {
    const module = await WebAssembly.compileStreaming(response("application/wasm"));
    const { instance } = await WebAssembly.instantiateStreaming(Promise.resolve(response("application/wasm")));
    return Response.json({
      module: module instanceof WebAssembly.Module,
      instance: instance instanceof WebAssembly.Instance,
      wrong: await WebAssembly.compileStreaming(response("text/plain")).catch((error) => error.name),
    });
  },
};
