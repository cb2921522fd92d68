export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    try {
      const password = new Uint8Array(8);
      const key = await crypto.subtle.importKey("raw-secret", password, "Argon2id", false, ["deriveBits"]);
      const hard = { name: "Argon2id", nonce: new Uint8Array(16), parallelism: 1, memory: 2 ** 24, passes: 1 };
      await crypto.subtle.deriveBits(hard, key, 256);
    } catch (error) {
      return new Response(error.name);
    }
    return new Response("survived");
  },
};
