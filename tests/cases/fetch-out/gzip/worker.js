export default {
  async fetch(request, env) {
    const response = await fetch(`${env.ORIGIN}/gzip`);
    switch (new URL(request.url).pathname) {
      case "/copy":
        return new Response(response.body, response);
      case "/headers":
        return new Response(response.body, { headers: response.headers });
      case "/pipe":
        return new Response(response.body.pipeThrough(new TransformStream()), response);
      case "/text":
        return new Response(await response.text(), response);
      default:
        return response;
    }
  },
};
