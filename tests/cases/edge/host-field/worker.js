export default {
  fetch(request) {
    return new Response(request.headers.get("host"));
  },
};
