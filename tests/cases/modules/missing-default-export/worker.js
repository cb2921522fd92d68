export const fetch = () => new Response("hi");
