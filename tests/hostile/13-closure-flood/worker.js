export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const hoard = [];
    for (;;) hoard.push(new Promise((resolve) => hoard.push(() => resolve(hoard))));
    return new Response("survived");
  },
};
