// Server-sent events: a response that goes on. The page at / listens to /stream.
//
//     curl -N 'http://events.localhost:8080/stream?count=3&every=500'
import page from "./page.html" with { type: "text" };

export default {
  fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/") {
      return new Response(page, { headers: { "content-type": "text/html;charset=UTF-8" } });
    }
    if (pathname !== "/stream") return new Response("Not found\n", { status: 404 });

    const count = bounded(searchParams.get("count"), 5, 1, 1000);
    const every = bounded(searchParams.get("every"), 1000, 1, 10_000);
    return new Response(ticks(count, every), {
      headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
    });
  },
};

/** A stream of `count` events, one each `every` milliseconds. */
function ticks(count, every) {
  const encoder = new TextEncoder();
  let sent = 0;
  let timer;
  return new ReadableStream({
    // Called when the reader wants more, so a slow client is never flooded.
    async pull(controller) {
      if (sent > 0) await new Promise((resolve) => (timer = setTimeout(resolve, every)));
      sent += 1;
      controller.enqueue(encoder.encode(`id: ${sent}\nevent: tick\ndata: {"tick":${sent},"of":${count}}\n\n`));
      if (sent === count) controller.close();
    },
    // Called when the client has gone.
    cancel() {
      clearTimeout(timer);
    },
  });
}

/** `text` as a whole number from `low` to `high`; `otherwise` if there is none. */
function bounded(text, otherwise, low, high) {
  const number = Number.parseInt(text ?? "", 10);
  return Number.isNaN(number) ? otherwise : Math.min(Math.max(number, low), high);
}
