export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const big = new Array(1e5).fill(1);
    return new Response(String(new Array(1e6).fill(big).flat().length));
    return new Response("survived");
  },
};
