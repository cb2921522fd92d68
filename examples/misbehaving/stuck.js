// One builtin, told to walk 9,007,199,254,740,991 places. V8 cannot interrupt it, but the process that it
// runs in can be killed: the client gets its answer as soon as the limit is broken.
export default {
  fetch() {
    return new Response(String(Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1)));
  },
};
