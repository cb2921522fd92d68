export default {
  async fetch(request, env) {
    const results = [];
    for (let index = 0; index < 4; index += 1) {
      try {
        const response = await fetch(`${env.ORIGIN}/hello`);
        await response.text();
        results.push(response.status);
      } catch (error) {
        results.push(error.message);
      }
    }
    return new Response(results.join(" "));
  },
};
