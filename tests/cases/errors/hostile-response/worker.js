export default {
  fetch(request) {
    switch (new URL(request.url).pathname) {
      case "/many-headers": {
        const headers = new Headers();
        for (let index = 0; index < 10_000; index += 1) headers.set(`x-${index}`, "y".repeat(100));
        return new Response("many", { headers });
      }
      case "/framing":
        return new Response("framed", { headers: { "transfer-encoding": "chunked", connection: "x-a", "keep-alive": "1" } });
      case "/length":
        return new Response("four", { headers: { "content-length": "4000" } });
      default:
        return new Response("fine");
    }
  },
};
