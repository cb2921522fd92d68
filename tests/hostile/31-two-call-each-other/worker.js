export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    return fetch("http://other.test/");
    return new Response("survived");
  },
};
