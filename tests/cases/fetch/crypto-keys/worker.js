const { subtle } = crypto;
const bytes = (text) => new TextEncoder().encode(text);
const hex = (buffer) => [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

async function aes() {
  const key = await subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
  const parameters = { name: "AES-GCM", iv: crypto.getRandomValues(new Uint8Array(12)) };
  const sealed = new Uint8Array(await subtle.encrypt(parameters, key, bytes("secret")));
  const open = async (data) => new TextDecoder().decode(await subtle.decrypt(parameters, key, data));
  const aes = await open(sealed);
  sealed[0] ^= 1;
  const tampered = await open(sealed).catch((error) => error.name);
  const unextractable = await subtle.exportKey("raw", key).catch((error) => error.name);
  return { aes, tampered, unextractable };
}

async function signs(algorithm, parameters) {
  const { privateKey, publicKey } = await subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const signature = await subtle.sign(parameters, privateKey, bytes("message"));
  return [await subtle.verify(parameters, publicKey, signature, bytes("message")), publicKey];
}

async function pbkdf2() {
  const key = await subtle.importKey("raw", bytes("password"), "PBKDF2", false, ["deriveBits"]);
  const parameters = { name: "PBKDF2", hash: "SHA-256", salt: bytes("salt"), iterations: 1 };
  return hex(await subtle.deriveBits(parameters, key, 256));
}

export default {
  async fetch() {
    const [ecdsa, key] = await signs({ name: "ECDSA", namedCurve: "P-256" }, { name: "ECDSA", hash: "SHA-256" });
    const [ed25519] = await signs("Ed25519", "Ed25519");
    const { kty } = await subtle.exportKey("jwk", key);
    return Response.json({ ...(await aes()), ecdsa, ed25519, jwk: kty, pbkdf2: await pbkdf2() });
  },
};
