export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const algorithm = {
      name: "RSASSA-PKCS1-v1_5",
      modulusLength: 16384,
      publicExponent: new Uint8Array([1, 0, 1]),
      hash: "SHA-256",
    };
    crypto.subtle.generateKey(algorithm, false, ["sign", "verify"]).catch(() => {});
    return new Response("answered");
  },
};
