await Promise.reject(new Error("rejected while loading"));

export default { fetch: () => new Response("hi") };
