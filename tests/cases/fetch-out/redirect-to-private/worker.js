export default {
  async fetch(request, env) {
    const response = await fetch(`${env.ORIGIN}/redirect?http://127.0.0.2:9/secret`)
      .then((response) => String(response.status), (error) => error.name);
    return new Response(response);
  },
};
