const refused = (act) => {
  try {
    return act() === undefined;
  } catch {
    return true;
  }
};

export default {
  fetch() {
    return Response.json({
      wait: refused(() => Atomics.wait(new Int32Array(new ArrayBuffer(8)), 0, 0, 10)),
      shared: refused(() => new SharedArrayBuffer(8)),
      memory: refused(() => {
        const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
        return Atomics.wait(new Int32Array(memory.buffer), 0, 0, 10);
      }),
    });
  },
};
