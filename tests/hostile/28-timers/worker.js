export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    try {
      for (let index = 0; index < 1e6; index += 1) setTimeout(() => {}, 1e6);
    } catch (error) {
      return new Response(error.name);
    }
    return new Response("survived");
  },
};
