const thrown = (act) => {
  try {
    act();
    return "ok";
  } catch (error) {
    return error.name;
  }
};

export default {
  fetch(request) {
    const fails = () => {
      new Headers({ a: "1" }).append("b", "2");
      throw new Error("from the callback");
    };
    const target = new Headers();
    return Response.json({
      headers: thrown(() => new Headers({ get a() { return fails(); } })),
      init: thrown(() => new Response("", { get status() { return fails(); } })),
      iterator: thrown(() => new Headers({ *[Symbol.iterator]() { yield ["a", "1"]; fails(); } })),
      url: thrown(() => new Request({ toString: fails })),
      nested: thrown(() => new Headers({ get a() { target.set("x", new URL(request.url).host); return "1"; } })),
    });
  },
};
