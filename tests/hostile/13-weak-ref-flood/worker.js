export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const references = [];
    for (;;) references.push(new WeakRef({ target: references.length }));
    return new Response("survived");
  },
};
