const readers = {
  text: (request) => request.text(),
  json: (request) => request.json(),
  arrayBuffer: async (request) => [...new Uint8Array(await request.arrayBuffer())],
  bytes: async (request) => [...(await request.bytes())],
  blob: async (request) => {
    const { size, type } = await request.blob();
    return { size, type };
  },
  formData: async (request) => {
    const entries = [];
    for (const [name, value] of await request.formData()) {
      entries.push([name, typeof value === "string" ? value : `${value.name}: ${await value.text()}`]);
    }
    return entries;
  },
  twice: async (request) => {
    await request.text();
    return request.text().then(() => "read twice", (error) => error.name);
  },
};

export default {
  async fetch(request) {
    const name = new URL(request.url).pathname.slice(1);
    const value = await readers[name](request);
    return Response.json({ value, used: request.bodyUsed });
  },
};
