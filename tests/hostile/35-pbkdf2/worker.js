export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const key = await crypto.subtle.importKey("raw", new Uint8Array(8), "PBKDF2", false, ["deriveBits"]);
    const isAllowed = new URL(request.url).pathname === "/allowed";
    const iterations = isAllowed ? 100_000 : 2 ** 31;
    const parameters = { name: "PBKDF2", hash: "SHA-256", salt: new Uint8Array(8), iterations };
    try {
      // More than once: a good processor takes some 10 ms for each.
      for (let i = 0; i < (isAllowed ? 20 : 1); i++) {
        await crypto.subtle.deriveBits(parameters, key, 256);
      }
      return new Response("derived");
    } catch (error) {
      return new Response(error.name);
    }
    return new Response("survived");
  },
};
