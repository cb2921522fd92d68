export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    switch (new URL(request.url).pathname) {
      case "/thrown":
        throw { get message() { for (;;); }, get stack() { for (;;); }, toString() { for (;;); } };
      case "/thenable":
        return { then() { for (;;); } };
      default:
        return new Proxy(new Response("proxied"), { get() { for (;;); }, getPrototypeOf() { for (;;); } });
    }
    return new Response("survived");
  },
};
