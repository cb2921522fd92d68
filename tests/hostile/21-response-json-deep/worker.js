export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    let value = [];
    for (let index = 0; index < 1e5; index += 1) value = [value];
    const names = [];
    for (const act of [() => Response.json(value), () => structuredClone(value), () => console.log(value)]) {
      try {
        act();
        names.push("fine");
      } catch (error) {
        names.push(error.name);
      }
    }
    return new Response(names.join(" "));
    return new Response("survived");
  },
};
