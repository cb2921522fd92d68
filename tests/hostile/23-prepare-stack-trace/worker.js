export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    Error.prepareStackTrace = () => {
      for (;;);
    };
    throw new Error("prepared");
    return new Response("survived");
  },
};
