export default { fetch: () => new Response("here") };
