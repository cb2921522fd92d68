export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    Error.stackTraceLimit = 1e9;
    const deep = (left) => {
      if (left === 0) throw new Error("deep");
      return deep(left - 1) + 1;
    };
    deep(5_000);
    return new Response("survived");
  },
};
