/**
 * SHA-256 (FIPS 180-4), fed piece by piece. `crypto.subtle.digest` is faster but
 * takes the whole message at once; this one needs 64 bytes of memory for a body
 * of any length.
 *
 *     const hash = new Sha256();
 *     for await (const chunk of request.body) hash.update(chunk);
 *     hash.hex();
 */
export class Sha256 {
  #state = Int32Array.of(
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
  );
  #block = new Uint8Array(64); // what does not fill a block yet
  #view = new DataView(this.#block.buffer);
  #filled = 0;
  #length = 0; // bytes so far

  /** Takes the next bytes of the message, a Uint8Array. */
  update(bytes) {
    this.#length += bytes.length;
    let at = 0;
    if (this.#filled > 0) {
      at = Math.min(64 - this.#filled, bytes.length);
      this.#block.set(bytes.subarray(0, at), this.#filled);
      this.#filled += at;
      if (this.#filled < 64) return;
      this.#compress(this.#view, 0);
      this.#filled = 0;
    }
    // Whole blocks are read where they are, without a copy.
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (; at + 64 <= bytes.length; at += 64) this.#compress(view, at);
    this.#block.set(bytes.subarray(at));
    this.#filled = bytes.length - at;
  }

  /** Ends the message and returns its digest in hexadecimal. */
  hex() {
    const bits = BigInt(this.#length) * 8n;
    this.#block[this.#filled++] = 0x80;
    if (this.#filled > 56) {
      this.#block.fill(0, this.#filled);
      this.#compress(this.#view, 0);
      this.#filled = 0;
    }
    this.#block.fill(0, this.#filled);
    this.#view.setBigUint64(56, bits);
    this.#compress(this.#view, 0);
    return [...this.#state].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  #compress(view, at) {
    for (let i = 0; i < 16; i++) W[i] = view.getInt32(at + i * 4);
    for (let i = 16; i < 64; i++) {
      const x = W[i - 15];
      const y = W[i - 2];
      const s0 = rotate(x, 7) ^ rotate(x, 18) ^ (x >>> 3);
      const s1 = rotate(y, 17) ^ rotate(y, 19) ^ (y >>> 10);
      W[i] = (W[i - 16] + s0 + W[i - 7] + s1) | 0;
    }
    let [a, b, c, d, e, f, g, h] = this.#state;
    for (let i = 0; i < 64; i++) {
      const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
      const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g; g = f; f = e; e = (d + t1) | 0;
      d = c; c = b; b = a; a = (t1 + t2) | 0;
    }
    const state = this.#state; // Int32Array: every sum wraps at 32 bits
    state[0] += a; state[1] += b; state[2] += c; state[3] += d;
    state[4] += e; state[5] += f; state[6] += g; state[7] += h;
  }
}

const rotate = (word, by) => (word >>> by) | (word << (32 - by));

// Scratch space of `#compress`, which never awaits: one is enough.
const W = new Int32Array(64);

// The first 32 bits of the fractions of the cube roots of the first 64 primes.
// BigInt keeps the roots exact: floor(cbrt(p) * 2^32) is the integer cube root of p * 2^96.
const K = Int32Array.from(primes(64), (p) => Number(BigInt.asIntN(32, cubeRoot(BigInt(p) << 96n))));

function primes(count) {
  const found = [];
  for (let n = 2; found.length < count; n++) if (found.every((p) => n % p !== 0)) found.push(n);
  return found;
}

function cubeRoot(n) {
  let root = 0n;
  for (let bit = 1n << 36n; bit > 0n; bit >>= 1n) if ((root + bit) ** 3n <= n) root += bit;
  return root;
}
