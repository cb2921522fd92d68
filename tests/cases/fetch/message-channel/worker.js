export default {
  async fetch() {
    const { port1, port2 } = new MessageChannel();
    const sent = { a: [1] };
    const got = await new Promise((resolve) => {
      port2.onmessage = (event) => resolve(event.data);
      port1.postMessage(sent);
    });
    port1.close();
    return Response.json({ got, same: got === sent });
  },
};
