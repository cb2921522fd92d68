export default {
  fetch() {
    const url = new URL("../c?x=1#h", "https://BÜCHER.example:8443/a/b/");
    url.pathname = "/a/../c";
    let bad;
    try {
      new URL("http://");
    } catch (error) {
      bad = error.name;
    }
    const params = new URLSearchParams("b=1&a=2");
    params.append("b", "3");
    params.sort();
    const pattern = new URLPattern({ pathname: "/users/:id(\\d+)" });
    return Response.json({
      href: url.href,
      parse: [URL.canParse("https://example.com"), URL.canParse("no url")],
      bad,
      sorted: params.toString(),
      size: params.size,
      groups: pattern.exec("https://example.com/users/42").pathname.groups,
      test: pattern.test("https://example.com/users/x"),
    });
  },
};
