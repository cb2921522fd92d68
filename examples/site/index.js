// Answers what no file answers. The files in public/ are served without it: the edge reads them itself.
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (url.pathname === "/api/time") {
      return Response.json({ now: new Date().toISOString() });
    }
    // A page of the site, with something put into it.
    if (url.pathname === "/hello") {
      const page = await env.ASSETS.fetch(new URL("/template.txt", url));
      const name = url.searchParams.get("name") ?? "world";
      return new Response((await page.text()).replace("NAME", name));
    }
    // Nothing else is here: the site's own page says so.
    return env.ASSETS.fetch(request);
  },
};
