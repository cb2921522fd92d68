const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);
const response = (body = bytes, init = {}) =>
  new Response(body, { headers: { "content-type": "application/wasm" }, ...init });
const stream = (source) => response(new ReadableStream(source));
const name = (promise) => promise.then(() => "nothing", (error) => error.name);

const used = response();
await used.arrayBuffer();
const module = await WebAssembly.compileStreaming(response());
const { instance } = await WebAssembly.instantiateStreaming(Promise.resolve(response()), {});
const found = {
  module: module instanceof WebAssembly.Module,
  instance: instance instanceof WebAssembly.Instance,
  number: await name(WebAssembly.compileStreaming(5)),
  type: await name(WebAssembly.compileStreaming(new Response(bytes))),
  status: await name(WebAssembly.compileStreaming(response(bytes, { status: 404 }))),
  used: await name(WebAssembly.compileStreaming(used)),
  broken: await WebAssembly.compileStreaming(stream({ start: (c) => c.error(new Error("broken")) })).catch(String),
  bytes: await name(WebAssembly.compileStreaming(response("no module"))),
  strings: await name(WebAssembly.compileStreaming(stream({ start: (c) => c.enqueue("text") }))),
  imports: await name(WebAssembly.instantiateStreaming(response(), 5)),
};

export default { fetch: () => Response.json(found) };
