// Sends each message back as it came: to whoever opens a WebSocket, or, if it is asked for with a URL in its query,
// over one that it opens itself.
export default {
  async fetch(request) {
    // The suite writes it `WebSocket`.
    if (request.headers.get("upgrade")?.toLowerCase() === "websocket") {
      const { 0: client, 1: server } = new WebSocketPair();
      server.accept();
      echo(server);
      return new Response(null, { status: 101, webSocket: client });
    }
    const { search } = new URL(request.url);
    if (!search) return new Response("hello");
    const socket = new WebSocket(search.slice(1));
    const { code, reason, wasClean } = await echo(socket);
    return new Response(`closed: ${code} ${reason} ${wasClean}`);
  },
};

/** Resolves when the socket is over. */
function echo(socket) {
  socket.binaryType = "arraybuffer";
  socket.addEventListener("message", ({ data }) => socket.send(data));
  return new Promise((resolve) => socket.addEventListener("close", resolve));
}
