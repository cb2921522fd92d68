export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/throws") throw new Error("inside");
    const { url, method, headers } = request;
    const body = { url, method, mine: headers.get("x-mine"), body: await request.text() };
    return Response.json(body, { status: 201, headers: { "x-inner": "yes" } });
  },
};
