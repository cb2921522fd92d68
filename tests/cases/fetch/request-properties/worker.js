export default {
  fetch(request) {
    const url = new URL(request.url);
    return Response.json({
      url: request.url,
      query: url.searchParams.getAll("q"),
      method: request.method,
      custom: request.headers.get("x-custom"),
      accept: request.headers.get("accept"),
      body: String(request.body),
      instance: request instanceof Request,
      signal: request.signal instanceof AbortSignal && !request.signal.aborted,
      missing: String(request.headers.get("x-missing")),
    });
  },
};
