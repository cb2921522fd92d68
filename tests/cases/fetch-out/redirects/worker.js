export default {
  async fetch(request, env) {
    const at = (path) => env.ORIGIN + path;
    const followed = await fetch(at("/redirect?/hello"));
    const manual = await fetch(at("/redirect?/hello"), { redirect: "manual" });
    const post = { method: "POST", body: "body" };
    const see = await (await fetch(at("/redirect?/echo"), post)).json();
    const keep = await (await fetch(at("/redirect-keep?/echo"), post)).json();
    const failed = (error) => error.name;
    return Response.json({
      followed: [await followed.text(), followed.redirected, new URL(followed.url).pathname],
      manual: manual.status,
      error: await fetch(at("/redirect?/hello"), { redirect: "error" }).catch(failed),
      see: `${see.method} ${see.body}`,
      keep: `${keep.method} ${keep.body}`,
      loop: await fetch(at("/redirect?/redirect?/redirect")).then((response) => response.status, failed),
    });
  },
};
