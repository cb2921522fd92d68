export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    try {
      for (;;) 1n << 1000000000n;
    } catch (error) {
      return new Response(error.name, { status: 500 });
    }
    return new Response("survived");
  },
};
