let kept;

export default {
  async fetch(request) {
    switch (new URL(request.url).pathname) {
      case "/undefined":
        return undefined;
      case "/string":
        return "hi";
      case "/lookalike":
        return { status: 200, headers: new Headers(), body: null };
      case "/getters":
        return Object.defineProperty({}, "status", { get: () => { throw new Error("from the getter"); } });
      case "/used": {
        const response = new Response("used");
        await response.text();
        return response;
      }
      default:
        kept ??= new Response("kept");
        return kept;
    }
  },
};
