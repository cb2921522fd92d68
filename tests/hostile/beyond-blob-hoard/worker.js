export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const hoard = [];
    const bytes = new Uint8Array(1 << 20);
    for (;;) hoard.push(new Blob([bytes]));
  },
};
