const name = (error) => error.name;

export default {
  async fetch() {
    const url = URL.createObjectURL(new Blob(["blob text"]));
    const blob = await (await fetch(url)).text();
    URL.revokeObjectURL(url);
    return Response.json({
      data: await (await fetch("data:text/plain;base64,aGk=")).text(),
      blob,
      revoked: await fetch(url).then(() => "found", name),
      file: await fetch("file:///etc/hostname").then(() => "read", name),
    });
  },
};
