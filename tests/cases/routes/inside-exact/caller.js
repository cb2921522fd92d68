export default {
  async fetch(request) {
    const url = new URL(request.url).search.slice(1);
    try {
      const answer = await fetch(url, { headers: { authorization: "Bearer secret" } });
      return new Response(await answer.text());
    } catch (error) {
      return new Response(error instanceof TypeError ? "not taken" : String(error));
    }
  },
};
