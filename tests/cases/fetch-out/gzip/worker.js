export default {
  async fetch(request, env) {
    const response = await fetch(`${env.ORIGIN}/gzip`);
    if (new URL(request.url).pathname === "/text") return new Response(await response.text());
    return response;
  },
};
