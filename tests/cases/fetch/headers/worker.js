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
    const headers = new Headers([["B", "2"], ["a", "1"], ["A", "3"]]);
    headers.append("Set-Cookie", "x=1");
    headers.append("Set-Cookie", "y=2");
    const has = [headers.has("b"), headers.has("c")];
    return Response.json({
      order: [...headers.keys()],
      joined: headers.get("a"),
      cookies: headers.getSetCookie(),
      has,
      name: thrown(() => headers.set("bad name", "1")),
      value: thrown(() => headers.set("a", "\u0000")),
      crlf: thrown(() => headers.set("a", "1\r\nx-injected: 1")),
      trimmed: new Headers({ a: "  padded\t" }).get("a"),
    });
  },
};
