const thrown = (init) => {
  try {
    new Response("", init);
    return "nothing";
  } catch (error) {
    return error.name;
  }
};

export default {
  async fetch() {
    const response = new Response("x");
    const used = [response.bodyUsed];
    await response.text();
    used.push(response.bodyUsed);
    const bodies = ["x", new URLSearchParams("a=1"), new Blob([], { type: "text/x-mine" }), new Uint8Array(1)];
    return Response.json({
      ok: [new Response("", { status: 299 }).ok, new Response("", { status: 404 }).ok],
      type: response.type,
      status: response.status,
      used,
      range: thrown({ status: 99 }),
      text: thrown({ statusText: "bad\nreason" }),
      types: bodies.map((body) => String(new Response(body).headers.get("content-type"))),
    });
  },
};
