export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    let kept;
    for (;;) kept = new Array(1000);
    return new Response("survived");
  },
};
