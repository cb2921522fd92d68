const thrown = (act) => {
  try {
    act();
    return "nothing";
  } catch (error) {
    return error.name;
  }
};

export default {
  fetch() {
    return Response.json({
      utf8: [...new TextEncoder().encode("€")],
      euro: new TextDecoder("windows-1252").decode(new Uint8Array([0x80])),
      replaced: new TextDecoder().decode(new Uint8Array([0x61, 0xff])),
      fatal: thrown(() => new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array([0xff]))),
      unknown: thrown(() => new TextDecoder("no-such-encoding")),
      into: new TextEncoder().encodeInto("€€", new Uint8Array(5)),
      btoa: btoa("hi"),
      atob: atob(" aGk= "),
      btoa_error: thrown(() => btoa("€")),
      atob_error: thrown(() => atob("a")),
    });
  },
};
