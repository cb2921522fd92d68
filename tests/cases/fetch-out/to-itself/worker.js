export default {
  async fetch(request) {
    const depth = Number(request.headers.get("x-depth") ?? 0);
    const response = await fetch(request.url, { headers: { "x-depth": String(depth + 1) } });
    if (response.headers.get("content-type") === "application/json") return response;
    await response.text();
    return Response.json({ depth, status: response.status });
  },
};
