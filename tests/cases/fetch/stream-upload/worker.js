export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/mirror") return new Response(request.body);
    if (pathname === "/unread") return new Response("did not look");
    let bytes = 0;
    let chunks = 0;
    for await (const chunk of request.body) {
      bytes += chunk.byteLength;
      chunks += 1;
    }
    return Response.json({ bytes, several: chunks > 1 });
  },
};
