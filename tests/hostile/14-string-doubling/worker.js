export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    let text = "a";
    try {
      for (;;) text += text;
    } catch (error) {
      return new Response(error.name);
    }
    return new Response("survived");
  },
};
