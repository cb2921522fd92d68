const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);
const name = (promise) => promise.then(() => "nothing", (error) => error.name);
const event = (target, type) => new Promise((resolve) => target.addEventListener(type, resolve));
const pause = () => new Promise((resolve) => setTimeout(resolve, 5));

console.log("a line");
console.table([{ a: 1 }]);
console.time("t");
console.timeEnd("t");
console.trace("here");

const reported = [];
addEventListener("error", (event) => {
  event.preventDefault();
  reported.push(event.error.message);
});
let rejected;
addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  rejected = event.reason.message;
});
reportError(new Error("reported"));
setTimeout(() => {
  throw new Error("timer");
}, 1);
await pause();
queueMicrotask(() => {
  throw new Error("microtask");
});
Promise.reject(new Error("rejected"));
await pause();

const source = new EventSource("https://example.com/");
await event(source, "error");
const event_source = source.readyState;
source.close();

const { port1, port2 } = new MessageChannel();
port2.start();
const message = event(port2, "message");
port1.postMessage(5);

const file = new FileReader();
file.readAsText(new Blob(["x"]));
await event(file, "load");

const zip = new Blob([bytes]).stream()
  .pipeThrough(new CompressionStream("gzip")).pipeThrough(new DecompressionStream("gzip"));

const found = {
  fetch: await name(fetch("https://example.com/")),
  aborted: await name(fetch("https://example.com/", { signal: AbortSignal.abort() })),
  blob: await (await fetch(URL.createObjectURL(new Blob(["x"])))).text(),
  data: await (await fetch("data:text/plain,hi")).text(),
  event_source,
  stream: (await new Response(new Blob([bytes]).stream()).arrayBuffer()).byteLength,
  zip: (await new Response(zip).arrayBuffer()).byteLength,
  digest: (await crypto.subtle.digest("SHA-256", bytes)).byteLength,
  key: (await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, true, ["encrypt"])).algorithm.name,
  message: (await message).data,
  timeout: (await event(AbortSignal.timeout(5), "abort")).type,
  clone: structuredClone([1, 2]),
  reader: file.result,
  mark: performance.mark("a").name,
  module: await name(import("./" + "none.js")),
  wasm: (await WebAssembly.compile(bytes)) instanceof WebAssembly.Module,
  reported,
  rejected,
};
port1.close();

export default { fetch: () => Response.json(found) };
