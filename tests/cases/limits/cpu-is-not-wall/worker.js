export default {
  async fetch() {
    await new Promise((resolve) => setTimeout(resolve, 400));
    return new Response("waited");
  },
};
