export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const error = new Error("mine");
    Object.defineProperty(error, "stack", { get: () => { throw error; } });
    Object.defineProperty(error, "cause", { get: () => { for (;;); } });
    Object.defineProperty(error, "name", { get: () => { throw error; } });
    console.log(error);
    throw error;
    return new Response("survived");
  },
};
