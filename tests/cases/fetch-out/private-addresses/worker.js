const hosts = [
  "127.0.0.1", "[::ffff:127.0.0.1]", "127.1", "0x7f000001", "2130706433", "0.0.0.0", "[::1]", "169.254.169.254",
  "10.0.0.1", "192.168.0.1", "localhost",
];

export default {
  async fetch(request, env) {
    const { port } = new URL(env.ORIGIN);
    const results = {};
    for (const host of hosts) {
      results[host] = await fetch(`http://${host}:${port}/hello`)
        .then((response) => response.status, (error) => error.name);
    }
    return Response.json(results);
  },
};
