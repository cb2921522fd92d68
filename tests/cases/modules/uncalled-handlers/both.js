export default {
  fetch: () => new Response("hi"),
  async scheduled(event, env, ctx) {},
  async queue(batch) {},
  tail: "not a function",
  get trace() {
    throw new Error("not to be looked at");
  },
};
