// A chat room: what one says, everybody hears who is in the same isolate.
//
// A resting socket costs nothing but memory: no isolate is held by it, and no CPU time is used.

const room = new Set();

function join(name) {
  const { 0: client, 1: server } = new WebSocketPair();
  server.accept();
  room.add(server);
  server.addEventListener("message", ({ data }) => {
    if (typeof data !== "string") return server.close(1003, "only text is talked here");
    for (const other of room) other.send(`${name}: ${data}`);
  });
  server.addEventListener("close", () => room.delete(server));
  server.send(`welcome, ${name}; ${room.size} here`);
  return client;
}

const PAGE = `<!doctype html><meta charset=utf-8><title>Chat</title>
<pre id=said></pre><form><input id=text autofocus placeholder="say something"></form>
<script>
  const socket = new WebSocket(location.href.replace("http", "ws") + "chat?name=" + prompt("Who are you?", "ada"));
  socket.onmessage = ({ data }) => (said.textContent += data + "\\n");
  socket.onclose = ({ code, reason }) => (said.textContent += "closed: " + code + " " + reason + "\\n");
  document.forms[0].onsubmit = (event) => {
    event.preventDefault();
    socket.send(text.value);
    text.value = "";
  };
</script>
`;

export default {
  fetch(request) {
    const url = new URL(request.url);
    if (url.pathname === "/") {
      return new Response(PAGE, { headers: { "content-type": "text/html;charset=utf-8" } });
    }
    if (url.pathname !== "/chat") return new Response("Not found\n", { status: 404 });
    if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
      return new Response("This is for WebSockets\n", { status: 426, headers: { upgrade: "websocket" } });
    }
    const webSocket = join(url.searchParams.get("name") ?? "somebody");
    return new Response(null, { status: 101, webSocket });
  },
};
