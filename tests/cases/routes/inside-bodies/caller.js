export default {
  async fetch(request) {
    const { pathname, search } = new URL(request.url);
    const bytes = new Uint8Array(Number(pathname.slice(1)));
    let body = bytes;
    if (search) {
      body = new ReadableStream({
        start(controller) {
          for (const byte of bytes) controller.enqueue(new Uint8Array([byte]));
          controller.close();
        },
      });
    }
    const answer = await fetch("http://target.test/", { method: "POST", body, duplex: "half" });
    const said = answer.headers.get("holm-outcome") ?? (await answer.text());
    return new Response(`${answer.status} ${said}`);
  },
};
