export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    return new Response(String(("a" + "\u0300\u0327".repeat(2e6)).normalize("NFC").length));
    return new Response("survived");
  },
};
