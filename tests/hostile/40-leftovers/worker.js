export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    globalThis.secret = "left";
    if (typeof BroadcastChannel === "function") new BroadcastChannel("shared").postMessage("left");
    const buffer = new Uint8Array(1 << 20).fill(0x53);
    return new Response(URL.createObjectURL(new Blob([buffer])));
    return new Response("survived");
  },
};
