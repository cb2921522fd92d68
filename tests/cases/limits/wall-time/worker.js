export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/fine") return new Response("fine");
    await new Promise((resolve) => setTimeout(resolve, 60_000));
    return new Response("never");
  },
};
