export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const response = await fetch(`${env.ORIGIN}/bomb`);
    return new Response(String((await response.arrayBuffer()).byteLength));
    return new Response("survived");
  },
};
