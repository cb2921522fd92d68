export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    try {
      structuredClone({ [Symbol.for("Deno.core.hostObject")]: () => ({ type: "x" }) });
    } catch (error) {
      return new Response(error.name);
    }
    return new Response("survived");
  },
};
