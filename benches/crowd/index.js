// Keeps 75 MB on the heap of each isolate, and waits a little, so that requests which come together need isolates of
// their own.
let kept;

export default {
  async fetch() {
    kept ??= Array.from({ length: 75 }, () => new Array(125_000).fill(1.5));
    await new Promise((resolve) => setTimeout(resolve, 50));
    return new Response(String(kept.length));
  },
};
