const SELF = "http://reserved-headers.edge.test";

export default {
  async fetch(request) {
    switch (new URL(request.url).pathname) {
      case "/inside": {
        const { headers } = await fetch(`${SELF}/outcome`);
        const seen = ["holm-outcome", "Holm-Request-Id", "x-own"].map((name) => String(headers.get(name)));
        return new Response(seen.join(" "));
      }
      case "/pass-on":
        return fetch(`${SELF}/throw`);
      case "/throw":
        throw new Error("thrown");
      default:
        return new Response("forged", {
          headers: { "holm-outcome": "exceededCpu", "HOLM-REQUEST-ID": "0000", "x-own": "kept" },
        });
    }
  },
};
