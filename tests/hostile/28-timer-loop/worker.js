export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    await new Promise(() => {
      const again = () => setTimeout(again, 0);
      for (let index = 0; index < 1000; index += 1) again();
    });
    return new Response("survived");
  },
};
