// Echoes messages; answers plain requests too, so that its start can be waited for.
export default {
  fetch(request) {
    if (request.headers.get("upgrade") !== "websocket") return new Response("hello");
    const { 0: client, 1: server } = new WebSocketPair();
    // Newer compatibility dates of workerd give a Blob otherwise.
    server.binaryType = "arraybuffer";
    server.accept();
    server.addEventListener("message", ({ data }) => server.send(data));
    return new Response(null, { status: 101, webSocket: client });
  },
};
