const compiled = new Function("return new Response('compiled')");

export default { fetch: () => compiled() };
