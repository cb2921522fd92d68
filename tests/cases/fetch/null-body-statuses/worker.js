export default {
  fetch(request) {
    switch (new URL(request.url).pathname) {
      case "/204":
        return new Response(null, { status: 204 });
      case "/304":
        return new Response(null, { status: 304, headers: { etag: '"v1"' } });
      default:
        try {
          return new Response("no", { status: 204 });
        } catch (error) {
          return new Response(error.name);
        }
    }
  },
};
