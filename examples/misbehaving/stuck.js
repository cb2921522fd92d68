// One builtin, told to walk 9,007,199,254,740,991 places. V8 cannot interrupt it: the client gets
// its answer all the same, and the thread is left to run only when no other wants to.
export default {
  fetch() {
    return new Response(String(Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1)));
  },
};
