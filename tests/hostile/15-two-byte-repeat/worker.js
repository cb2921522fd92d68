export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const hoard = [];
    for (let index = 0; ; index += 1) {
      const text = "é€".repeat(2e8) + index;
      hoard.push(text, text.charCodeAt(1e8), new TextEncoder().encode(text.slice(0, 10)));
    }
    return new Response("survived");
  },
};
