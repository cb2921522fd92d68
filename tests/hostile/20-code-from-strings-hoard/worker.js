export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const hoard = [];
    for (let index = 0; ; index += 1) {
      const made = new Function(`const s = "${String(index).repeat(200)}"; return s.length + ${index};`);
      made();
      hoard.push(made);
    }
    return new Response("survived");
  },
};
