// A page's worth of text, the same for each request.
const TEXT = "x".repeat(64 * 1024);

export default {
  fetch() {
    return new Response(TEXT);
  },
};
