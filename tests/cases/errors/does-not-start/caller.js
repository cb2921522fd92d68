export default {
  async fetch(request, env) {
    const answer = await fetch(`http://${env.HOST}/`);
    return new Response(`${answer.status} ${answer.headers.get("holm-outcome")}`);
  },
};
