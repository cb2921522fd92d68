export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const algorithm = {
      name: "RSA-OAEP",
      modulusLength: 16384,
      publicExponent: new Uint8Array([1, 0, 1]),
      hash: "SHA-256",
    };
    const make = () => crypto.subtle.generateKey(algorithm, false, ["encrypt", "decrypt"]);
    try {
      const many = new URL(request.url).pathname === "/many" ? 16 : 1;
      await Promise.all(Array.from({ length: many }, make));
    } catch (error) {
      return new Response(error.name);
    }
    return new Response("survived");
  },
};
