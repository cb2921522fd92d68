// Answers first and works afterwards: `ctx.waitUntil` keeps the isolate for a
// promise that the client does not wait for.
export default {
  fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    ctx.waitUntil(audit(request.method, pathname));
    return new Response("Accepted. The log tells the rest.\n", { status: 202 });
  },
};

async function audit(method, path) {
  // Stands in for the call to another service.
  await new Promise((resolve) => setTimeout(resolve, 50));
  console.log(`audited ${method} ${path} after the response`);
}
