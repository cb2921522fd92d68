export default {
  fetch() {
    const target = new EventTarget();
    const seen = [];
    const controller = new AbortController();
    target.addEventListener("ping", (event) => seen.push(`first ${event.detail}`), { signal: controller.signal });
    target.addEventListener("ping", (event) => seen.push(`once ${event.detail}`), { once: true });
    target.dispatchEvent(new CustomEvent("ping", { detail: 1 }));
    target.dispatchEvent(new CustomEvent("ping", { detail: 2 }));
    controller.abort();
    target.dispatchEvent(new CustomEvent("ping", { detail: 3 }));
    target.addEventListener("stop", (event) => event.preventDefault());
    const error = new DOMException("gone", "NotFoundError");
    return Response.json({
      seen,
      prevented: !target.dispatchEvent(new Event("stop", { cancelable: true })),
      name: error.name,
      code: error.code,
      instance: error instanceof Error,
    });
  },
};
