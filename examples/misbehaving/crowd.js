// Slow, and asked by too many at once.
export default {
  async fetch() {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    return new Response("done\n");
  },
};
