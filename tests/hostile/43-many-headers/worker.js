export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const headers = Array.from({ length: 25_000 }, (_, index) => [`x-${index}`, "1"]);
    const { pathname } = new URL(request.url);
    if (pathname === "/response") return new Response("survived", { headers });
    try {
      const made = new Request("http://offender.test/calm", { headers });
      if (pathname === "/fetch") await fetch(made);
      else return new Response("made");
    } catch (error) {
      return new Response(error.name);
    }
    return new Response("survived");
  },
};
