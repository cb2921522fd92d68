// Holds its isolate for as long as its client waits.
export default {
  async fetch() {
    await new Promise((resolve) => setTimeout(resolve, 60_000));
    return new Response("waited");
  },
};
