// A reverse proxy: passes a request on to another function, streams both bodies,
// and marks the answer. TARGET is set in holm.toml.
export default {
  async fetch(request, env) {
    const { pathname, search } = new URL(request.url);
    // Setting the parts keeps the target's host whatever the path says; resolving
    // the path against it would let "//elsewhere.example/" choose another one.
    const target = new URL(env.TARGET);
    target.pathname = pathname;
    target.search = search;

    // The second argument lends its method, headers and body. Redirects are the
    // client's business, not the proxy's.
    const answer = await fetch(new Request(target, request), { redirect: "manual" });

    // What `fetch` returns is immutable; a copy over the same body is not.
    const response = new Response(answer.body, answer);
    response.headers.append("via", "1.1 proxy.localhost");
    return response;
  },
};
