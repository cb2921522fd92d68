export default {
  async fetch(request) {
    if (new URL(request.url).pathname !== "/handler") {
      Promise.reject(new Error("nobody waits for this"));
      await new Promise((resolve) => setTimeout(resolve, 5));
      return new Response("answered");
    }
    const events = [];
    const listener = (event) => {
      event.preventDefault();
      events.push(`${event.type} ${event.reason.message}`);
    };
    addEventListener("unhandledrejection", listener);
    Promise.reject(new Error("late"));
    await new Promise((resolve) => setTimeout(resolve, 5));
    removeEventListener("unhandledrejection", listener);
    return Response.json({ events });
  },
};
