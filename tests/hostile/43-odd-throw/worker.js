export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    if (new URL(request.url).pathname === "/uncaught") await import("./odd.js");
    try {
      await import("./odd.js");
    } catch (error) {
      return new Response(typeof error);
    }
    return new Response("survived");
  },
};
