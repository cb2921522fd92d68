// Serves the function of a module with Bun, which by itself would listen to everyone:
// bun server.js PORT MODULE
const [port, module] = process.argv.slice(2);
const { default: handler } = await import(module);

Bun.serve({ hostname: "127.0.0.1", port: Number(port), fetch: handler.fetch, development: false });
