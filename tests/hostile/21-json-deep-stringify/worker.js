export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    let value = {};
    for (let index = 0; index < 2e7; index += 1) value = { value };
    try {
      return new Response(String(JSON.stringify(value).length));
    } catch (error) {
      return new Response(error.name);
    }
    return new Response("survived");
  },
};
