export default {
  async fetch() {
    const heard = [];
    if (typeof BroadcastChannel === "function") {
      const channel = new BroadcastChannel("shared");
      channel.onmessage = (event) => heard.push(event.data);
    }
    const url = await (await fetch("http://offender.test/")).text();
    const blob = await fetch(url).then(() => "readable", (error) => error.name);
    let dirty = 0;
    for (let index = 0; index < 64; index += 1) {
      dirty += new Uint8Array(new ArrayBuffer(65536)).filter((byte) => byte !== 0).length;
    }
    return Response.json({ secret: typeof globalThis.secret, blob, dirty, heard });
  },
};
