export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const dictionary = {};
    for (let index = 0; ; index += 1) dictionary[`key ${index}`] = index;
    return new Response("survived");
  },
};
