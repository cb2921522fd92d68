// The types vanish, and the lines of what runs differ.
interface Context {
  waitUntil(promise: Promise<unknown>): void;
}

const sources: Record<string, (ctx: Context) => Response | void> = {
  timeout() {
    setTimeout(function late() {
      throw new Error("in a timer");
    }, 0);
  },
  interval() {
    const id: number = setInterval(function again() {
      clearInterval(id);
      throw new TypeError("in an interval");
    }, 0);
  },
  listener() {
    const target = new EventTarget();
    target.addEventListener("ping", function heard() {
      throw new Error("in a listener");
    });
    target.dispatchEvent(new Event("ping"));
  },
  microtask() {
    queueMicrotask(function soon() {
      throw new Error("in a microtask");
    });
  },
  rejection() {
    Promise.reject(new RangeError("rejected"));
  },
  async() {
    (async function outer() {
      await (async function inner() {
        await null;
        throw new Error("awaited");
      })();
    })();
  },
  report() {
    reportError(new Error("reported"));
  },
  waituntil(ctx) {
    ctx.waitUntil(Promise.reject(new Error("promised")));
  },
  pull() {
    return new Response(
      new ReadableStream({
        pull(): void {
          throw new Error("in pull");
        },
      }),
    );
  },
  abort() {
    const controller = new AbortController();
    controller.signal.addEventListener("abort", function stopped() {
      throw new Error("in an abort listener");
    });
    controller.abort();
  },
  event() {
    addEventListener("error", (event: ErrorEvent) => {
      event.preventDefault();
      console.log(event.message, `${event.filename}:${event.lineno}:${event.colno}`);
    }, { once: true });
    reportError(new Error("seen"));
  },
};

export default {
  async fetch(request: Request, _env: unknown, ctx: Context): Promise<Response> {
    const response = sources[new URL(request.url).pathname.slice(1)](ctx);
    await new Promise((resolve) => setTimeout(resolve, 5));
    return response ?? new Response("answered");
  },
};
