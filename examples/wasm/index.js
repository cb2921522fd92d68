// A handler in WebAssembly. Importing a `.wasm` file gives a `WebAssembly.Module`,
// compiled once when the function is loaded; here an isolate makes one instance of
// it and keeps it.
//
//     curl 'http://wasm.localhost:8080/?x=-0.745&y=0.11&span=0.02'
import module from "./dist/mandelbrot.wasm";

const { address, draw, memory } = new WebAssembly.Instance(module).exports;

export default {
  fetch(request) {
    const query = new URL(request.url).searchParams;
    const number = (name, otherwise) => {
      const value = Number(query.get(name) ?? otherwise);
      return Number.isFinite(value) ? value : otherwise;
    };
    const length = draw(
      number("x", -0.6), number("y", 0), number("span", 3.2), number("columns", 78), number("rows", 33),
    );
    // The instance draws over this memory at the next request, so it is copied out.
    return new Response(new Uint8Array(memory.buffer, address(), length).slice(), {
      headers: { "content-type": "text/plain;charset=UTF-8" },
    });
  },
};
