// What the functions answer, by path, as Node's own server has it written: node server.js PORT
const { createServer } = require("node:http");

const TEXT = "x".repeat(64 * 1024);
let asked = 0;

createServer((request, response) => {
  let type = "text/plain;charset=UTF-8";
  let body = "Hello";
  if (request.url === "/json") {
    asked += 1;
    type = "application/json";
    body = JSON.stringify({ id: asked, name: `item ${asked}`, even: asked % 2 === 0, tags: ["edge", "function"] });
  } else if (request.url === "/body") {
    body = TEXT;
  }
  response.writeHead(200, { "content-type": type, "content-length": Buffer.byteLength(body) });
  response.end(body);
}).listen(Number(process.argv[2]), "127.0.0.1");
