// Hashes an upload while it arrives. The body is a stream: one chunk is in memory
// at a time, and the client is read no faster than the function takes chunks.
//
//     curl -T big.iso http://upload.localhost:8080/
import { Sha256 } from "./sha256.js";

export default {
  async fetch(request) {
    if (request.body === null) {
      return new Response("Send a body: curl -T FILE http://upload.localhost:8080/\n", { status: 400 });
    }
    const { pathname } = new URL(request.url);
    return Response.json(pathname === "/whole" ? await whole(request) : await streamed(request));
  },
};

async function streamed(request) {
  const hash = new Sha256();
  let bytes = 0;
  for await (const chunk of request.body) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, sha256: hash.hex() };
}

// The same with WebCrypto, which wants all of the message at once: simpler and
// faster, for bodies that fit into the memory of the function.
async function whole(request) {
  const body = await request.arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
  const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { bytes: body.byteLength, sha256 };
}
