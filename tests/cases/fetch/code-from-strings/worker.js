const thrown = (act) => {
  try {
    return act();
  } catch (error) {
    return error.name;
  }
};
const start = thrown(() => new Function("return 1")());

export default {
  async fetch(request) {
    if (request.url.endsWith("/throws")) return eval("throw new Error('of a string')");
    globalThis.ran = false;
    const AsyncFunction = (async () => {}).constructor;
    const GeneratorFunction = function* () {}.constructor;
    const timeout = thrown(() => setTimeout("globalThis.ran = true", 0));
    const interval = thrown(() => setInterval("globalThis.ran = true", 1));
    await new Promise((resolve) => setTimeout(resolve, 5));
    return Response.json({
      start,
      eval: thrown(() => eval("1 + 1")),
      indirect: thrown(() => (0, eval)("1 + 1")),
      direct: thrown(() => {
        const local = 2;
        return eval("local + 1");
      }),
      function: thrown(() => new Function("return 1")()),
      async: await thrown(() => new AsyncFunction("return 1")()),
      generator: thrown(() => new GeneratorFunction("yield 1")().next().value),
      timeout,
      interval,
      wasm: (await WebAssembly.compile(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))) instanceof WebAssembly.Module,
      ran: globalThis.ran,
    });
  },
};
