export default { fetsh: () => new Response("hi") };
