export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const { pathname } = new URL(request.url);
    const letter = pathname === "/two-bytes" ? "\u20ac" : "x";
    const error = new Error(letter.repeat(2 ** 29 - 25));
    if (pathname === "/logged") {
      console.log(error);
      return new Response("logged");
    }
    if (pathname === "/rejected") return Promise.reject(error);
    throw error;
  },
};
