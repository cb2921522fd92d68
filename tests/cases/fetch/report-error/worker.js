export default {
  async fetch() {
    reportError(new Error("reported"));
    setTimeout(() => {
      throw new Error("thrown in a timer");
    }, 0);
    await new Promise((resolve) => setTimeout(resolve, 5));
    return new Response("answered");
  },
};
