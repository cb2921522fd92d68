export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/status") {
      return Response.json(null, { status: 418, headers: { "x-mine": "1" } });
    }
    try {
      return Response.json({ got: await request.json() });
    } catch (error) {
      return new Response(error.name, { status: 400 });
    }
  },
};
