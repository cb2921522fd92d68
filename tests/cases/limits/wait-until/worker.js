export default {
  fetch(request, env, ctx) {
    if (new URL(request.url).pathname === "/fine") return new Response("fine");
    console.log("begun");
    ctx.waitUntil(new Promise((resolve) => setTimeout(resolve, 60_000)).then(() => console.log("never reached")));
    return new Response("answered");
  },
};
