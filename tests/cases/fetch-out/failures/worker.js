const name = (promise) => promise.then((response) => String(response.status), (error) => error.name);

export default {
  async fetch() {
    return Response.json({
      refused: await name(fetch("http://127.0.0.1:1/")),
      unknown: await name(fetch("http://no-such-host.invalid/")),
      scheme: await name(fetch("ftp://example.com/")),
      credentials: await name(fetch("http://user:secret@127.0.0.1:1/")),
      relative: await name(fetch("/relative")),
      method: await name(fetch("http://127.0.0.1:1/", { method: "CONNECT" })),
      body: await name(fetch("http://127.0.0.1:1/", { method: "GET", body: "no" })),
    });
  },
};
