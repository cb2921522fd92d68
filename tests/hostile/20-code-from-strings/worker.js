export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    return new Response(String(new Function("return 1")()));
    return new Response("survived");
  },
};
