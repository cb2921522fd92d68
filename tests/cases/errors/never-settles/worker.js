export default {
  fetch(request) {
    if (new URL(request.url).pathname === "/fine") return new Response("fine");
    return new Promise(() => {});
  },
};
