export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    for (let index = 0; index < 500; index += 1) {
      new Blob([new Uint8Array(1 << 20)]);
      // What was collected is let go of between two turns.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    return new Response("survived");
  },
};
