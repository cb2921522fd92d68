const hex = (buffer) => [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const bytes = (text) => new TextEncoder().encode(text);

export default {
  async fetch(request) {
    const digest = await crypto.subtle.digest("SHA-256", await request.arrayBuffer());
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const key = await crypto.subtle.importKey("raw", bytes("key"), algorithm, false, ["sign", "verify"]);
    const message = bytes("The quick brown fox jumps over the lazy dog");
    const signature = await crypto.subtle.sign("HMAC", key, message);
    const random = crypto.getRandomValues(new Uint8Array(64));
    let quota;
    try {
      crypto.getRandomValues(new Uint8Array(65537));
    } catch (error) {
      quota = error.name;
    }
    return Response.json({
      digest: hex(digest),
      uuid: /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID()),
      different: crypto.randomUUID() !== crypto.randomUUID(),
      random: random.some((byte) => byte !== 0),
      quota,
      hmac: hex(signature),
      verified: [
        await crypto.subtle.verify("HMAC", key, signature, message),
        await crypto.subtle.verify("HMAC", key, signature, bytes("another")),
      ],
    });
  },
};
