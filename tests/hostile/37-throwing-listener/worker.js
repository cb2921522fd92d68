export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    addEventListener("unhandledrejection", () => {
      for (;;);
    });
    Promise.reject(new Error("heard"));
    await new Promise((resolve) => setTimeout(resolve, 10_000));
    return new Response("survived");
  },
};
