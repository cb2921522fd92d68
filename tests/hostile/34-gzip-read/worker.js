export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const response = await fetch(`${env.ORIGIN}/bomb`);
    let length = 0;
    for await (const chunk of response.body) length += chunk.byteLength;
    return new Response(`survived ${length} bytes`);
  },
};
