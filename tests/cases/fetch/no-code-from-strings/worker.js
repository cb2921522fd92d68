const thrown = (act) => {
  try {
    act();
    return "nothing";
  } catch (error) {
    return error.name;
  }
};

export default {
  async fetch() {
    globalThis.ran = false;
    const AsyncFunction = (async () => {}).constructor;
    const GeneratorFunction = function* () {}.constructor;
    try {
      setTimeout("globalThis.ran = true", 0);
    } catch {
      // Throwing is as good as not running.
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
    return Response.json({
      eval: thrown(() => eval("1 + 1")),
      indirect: thrown(() => (0, eval)("1 + 1")),
      function: thrown(() => new Function("return 1")()),
      async: thrown(() => new AsyncFunction("return 1")()),
      generator: thrown(() => new GeneratorFunction("yield 1")()),
      ran: globalThis.ran,
    });
  },
};
