export default {
  fetch(request) {
    let direct = "changed";
    try {
      request.headers.set("x-a", "2");
    } catch (error) {
      direct = error.name;
    }
    const copy = new Request(request);
    copy.headers.set("x-a", "2");
    return Response.json({
      direct,
      copied: copy.headers.get("x-a"),
      original: request.headers.get("x-a"),
    });
  },
};
