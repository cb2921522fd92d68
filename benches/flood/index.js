// What hostile clients ask for: six builtins that V8 does not interrupt, sorts, deep JSON, RSA keys. Each path
// takes seconds without a limit.
function longPrefixes() {
  const alike = Array.from({ length: 8 }, (_, number) => "x".repeat(500_000) + number);
  return Array.from({ length: 50_000 }, (_, place) => alike[(place * 5) % 8]).sort().length;
}

function rsa() {
  const algorithm = {
    name: "RSA-OAEP",
    modulusLength: 4096,
    publicExponent: new Uint8Array([1, 0, 1]),
    hash: "SHA-256",
  };
  const make = () => crypto.subtle.generateKey(algorithm, false, ["encrypt", "decrypt"]);
  return Promise.all(Array.from({ length: 8 }, make)).then((keys) => keys.length);
}

const WORK = {
  "/calm": () => "calm",
  "/regex": () => /^(a+)+$/.test("a".repeat(40) + "b"),
  "/normalize": () => ("a" + "\u0300\u0327".repeat(2e6)).normalize("NFC").length,
  "/index-of": () => Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1),
  "/string-index-of": () => "a".repeat(4e6).indexOf("a".repeat(2e6) + "b" + "a".repeat(1e4)),
  "/bigint": () => (3n ** 2_000_000n * 7n ** 2_000_000n).toString().length,
  "/reverse": () => Array.prototype.reverse.call({ length: 2 ** 53 - 1 }).length,
  "/sort": longPrefixes,
  "/deep-json": () => typeof JSON.parse("[".repeat(4e6) + "]".repeat(4e6)),
  "/rsa": rsa,
};

export default {
  async fetch(request) {
    return new Response(String(await WORK[new URL(request.url).pathname]()));
  },
};
