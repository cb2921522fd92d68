export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    try {
      const key = await crypto.subtle.importKey("raw", new Uint8Array(8), "PBKDF2", false, ["deriveBits"]);
      const easy = { name: "PBKDF2", hash: "SHA-256", salt: new Uint8Array(8), iterations: 1 };
      await crypto.subtle.deriveBits(easy, key, 2 ** 31);
    } catch (error) {
      return new Response(error.name);
    }
    return new Response("survived");
  },
};
