interface Gone {
  one: number;
}

const value = {} as Partial<Gone>;
if (value.one === undefined) {
  throw new Error("not today");
}

export default { fetch: () => new Response("hi") };
