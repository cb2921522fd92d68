export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const hoard = [];
    while (hoard.length < 48_000) hoard.push(new Array(120).fill(hoard.length));
    for (let index = 0; ; index = (index + 1) % hoard.length) hoard[index] = new Array(120).fill(index);
    return new Response("survived");
  },
};
