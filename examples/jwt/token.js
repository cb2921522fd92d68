// JSON Web Tokens (RFC 7519) signed with HMAC-SHA-256, with nothing but WebCrypto.
const encoder = new TextEncoder();
const HEADER = { alg: "HS256", typ: "JWT" };

/** Signs `claims` and returns the token. */
export async function sign(claims, secret) {
  const signed = `${encode(HEADER)}.${encode(claims)}`;
  const signature = await crypto.subtle.sign("HMAC", await key(secret, "sign"), encoder.encode(signed));
  return `${signed}.${new Uint8Array(signature).toBase64({ alphabet: "base64url", omitPadding: true })}`;
}

/** The claims of `token`; throws a TokenError if it is not ours, broken or past its time. */
export async function verify(token, secret, now) {
  const parts = token.split(".");
  if (parts.length !== 3) throw new TokenError("a token has three parts");
  const [header, claims, signature] = parts;
  // Only our own algorithm is accepted, whatever the token would like.
  if (decode(header).alg !== HEADER.alg) throw new TokenError("unknown algorithm");

  const signed = encoder.encode(`${header}.${claims}`);
  // `verify` compares in constant time.
  if (!(await crypto.subtle.verify("HMAC", await key(secret, "verify"), bytes(signature), signed))) {
    throw new TokenError("the signature does not match");
  }
  const decoded = decode(claims);
  if (typeof decoded.exp !== "number" || decoded.exp <= now) throw new TokenError("the token has expired");
  return decoded;
}

/** A token that must not be trusted; the message says why. */
export class TokenError extends Error {}

function key(secret, usage) {
  return crypto.subtle.importKey("raw", encoder.encode(secret), { name: "HMAC", hash: "SHA-256" }, false, [usage]);
}

const encode = (value) =>
  encoder.encode(JSON.stringify(value)).toBase64({ alphabet: "base64url", omitPadding: true });

/** The JSON object in one part of a token. */
function decode(part) {
  const text = new TextDecoder().decode(bytes(part));
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new TokenError("a part of the token is not JSON");
  }
  if (value === null || typeof value !== "object") throw new TokenError("a part of the token is not an object");
  return value;
}

function bytes(part) {
  try {
    return Uint8Array.fromBase64(part, { alphabet: "base64url" });
  } catch {
    throw new TokenError("a part of the token is not base64url");
  }
}
