export default {
  async fetch() {
    const file = new File(["hel", new TextEncoder().encode("lo")], "f.txt", { type: "text/plain" });
    const form = new FormData();
    form.append("a", "1");
    form.append("file", file);
    const sent = new Response(form);
    const received = await new Response(await sent.arrayBuffer(), { headers: sent.headers }).formData();
    return Response.json({
      slice: await file.slice(1, 4).text(),
      size: file.size,
      type: file.type,
      name: file.name,
      stream: await new Response(file.stream()).text(),
      form: [...form].map(([name, value]) => [name, value.name ?? value]),
      back: [received.get("a"), await received.get("file").text()],
      urlencoded: await new Response(new URLSearchParams({ a: "1", b: "&" })).text(),
    });
  },
};
