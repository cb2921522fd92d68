export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const lies = Number(new URL(request.url).pathname.slice(1));
    let asked = 0;
    const hard = {
      get name() {
        asked += 1;
        return asked <= lies ? "HKDF" : "PBKDF2";
      },
      hash: "SHA-256",
      salt: new Uint8Array(8),
      info: new Uint8Array(8),
      iterations: 2 ** 31,
    };
    try {
      const key = await crypto.subtle.importKey("raw", new Uint8Array(8), "PBKDF2", false, ["deriveBits"]);
      await crypto.subtle.deriveBits(hard, key, 256);
    } catch (error) {
      return new Response(error.name);
    }
    return new Response("survived");
  },
};
