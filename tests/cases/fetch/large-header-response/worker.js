export default {
  fetch() {
    const headers = new Headers({ "x-long": "a".repeat(4000) });
    for (let index = 0; index < 50; index += 1) headers.set(`x-h${index}`, String(index));
    return new Response("b".repeat(100_000), { headers });
  },
};
