export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    try {
      const value = JSON.parse("[".repeat(8e6) + "]".repeat(8e6));
      return new Response(typeof value);
    } catch (error) {
      return new Response(error.name);
    }
    return new Response("survived");
  },
};
