// Each path computes for far longer than its CPU limit: a plain loop, and builtins that V8 does not interrupt.
function longPrefixes() {
  const alike = Array.from({ length: 8 }, (_, number) => "x".repeat(500_000) + number);
  return Array.from({ length: 50_000 }, (_, place) => alike[(place * 5) % 8]).sort().length;
}

function doubled() {
  let value = [];
  for (let depth = 0; depth < 24; depth++) value = [value, value];
  return JSON.stringify(value).length;
}

const WORK = {
  "/calm": () => "calm",
  "/loop": () => { for (;;) {} },
  "/regex": () => /^(a+)+$/.test("a".repeat(40) + "b"),
  "/sort": longPrefixes,
  "/json": doubled,
  "/normalize": () => ("a" + "\u0300\u0327".repeat(2e6)).normalize("NFC").length,
};

export default {
  fetch(request) {
    return new Response(String(WORK[new URL(request.url).pathname]()));
  },
};
