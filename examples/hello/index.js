// A function is a module whose default export has a `fetch` method. It gets a
// standard `Request` and returns a standard `Response`, or a promise of one.
export default {
  fetch(request, env) {
    const name = new URL(request.url).searchParams.get("name") ?? "world";
    // `env` holds what `vars` in holm.toml says.
    return new Response(`${env.GREETING}, ${name}!\n`);
  },
};
