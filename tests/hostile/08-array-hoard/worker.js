export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const hoard = [];
    for (;;) hoard.push(new Array(1000).fill(1));
    return new Response("survived");
  },
};
