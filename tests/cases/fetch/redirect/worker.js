const NEXT = "https://example.com/next";

export default {
  fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/permanent") return Response.redirect(NEXT, 308);
    if (pathname !== "/wrong") return Response.redirect(NEXT);
    try {
      return Response.redirect(NEXT, 200);
    } catch (error) {
      return new Response(error.name);
    }
  },
};
