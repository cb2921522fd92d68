async function* made() {
  for (const text of ["a ", "b ", "c "]) yield new TextEncoder().encode(text);
}

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    switch (pathname) {
      case "/mirror":
        return fetch(`${env.ORIGIN}/mirror`, { method: "POST", body: request.body, duplex: "half" });
      case "/made":
        return fetch(`${env.ORIGIN}/mirror`, { method: "POST", body: ReadableStream.from(made()), duplex: "half" });
      case "/cut":
        try {
          return new Response(await (await fetch(`${env.ORIGIN}/cut`)).text());
        } catch {
          return new Response("rejected");
        }
      default:
        return fetch(env.ORIGIN + pathname);
    }
  },
};
