const encoder = new TextEncoder();

async function inside(host) {
  const seen = [];
  for (const [method, path] of [
    ["GET", "/?given=6"],
    ["GET", "/whole?given=4000"],
    ["GET", "/empty?given=4000"],
    ["HEAD", "/empty?given=4000"],
  ]) {
    const response = await fetch(`http://other.${host}${path}`, { method });
    seen.push(`${response.headers.get("content-length")} ${await response.text()}`);
  }
  return new Response(seen.join(", "));
}

export default {
  fetch(request) {
    const { hostname, pathname, searchParams } = new URL(request.url);
    if (pathname === "/inside") return inside(hostname);
    const headers = { "content-length": searchParams.get("given") };
    if (pathname === "/whole") return new Response("four", { headers });
    if (pathname === "/empty") return new Response(null, { headers });
    if (pathname === "/passed") return new Response(request.body, { headers });
    const chunks = ["abc", "def"];
    const body = new ReadableStream({
      pull(controller) {
        if (chunks.length === 0) return controller.close();
        controller.enqueue(encoder.encode(chunks.shift()));
      },
    });
    return new Response(body, { headers });
  },
};
