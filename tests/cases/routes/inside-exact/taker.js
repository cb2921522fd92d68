import caller from "./caller.js";

export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/fetch") return caller.fetch(request);
    return new Response(`taken ${request.method} ${request.url}`);
  },
};
