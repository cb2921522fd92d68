export default {
  async fetch(request) {
    const { pathname, search } = new URL(request.url);
    if (pathname !== "/computed") return new Response((await import("./late.js")).text);
    try {
      return new Response((await import(decodeURIComponent(search.slice(1)))).text);
    } catch (error) {
      return new Response(error.name);
    }
  },
};
