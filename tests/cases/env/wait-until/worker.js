const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export default {
  fetch(request, env, ctx) {
    if (new URL(request.url).pathname === "/rejects") {
      ctx.waitUntil(later(1).then(() => Promise.reject(new Error("failed in the background"))));
      return new Response("answered");
    }
    console.log("before the answer");
    ctx.waitUntil(later(30).then(() => console.log("after the answer")));
    ctx.waitUntil(later(40).then(() => console.log("and a second time")));
    return new Response("answered");
  },
};
