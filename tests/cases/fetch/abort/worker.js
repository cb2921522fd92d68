export default {
  async fetch() {
    const controller = new AbortController();
    const events = [];
    controller.signal.addEventListener("abort", (event) => events.push(event.type));
    const any = AbortSignal.any([new AbortController().signal, controller.signal]);
    controller.abort("mine");
    controller.abort("again");

    const plain = new AbortController();
    plain.abort();
    const timeout = AbortSignal.timeout(1);
    await new Promise((resolve) => timeout.addEventListener("abort", resolve));
    let throws;
    try {
      controller.signal.throwIfAborted();
    } catch (error) {
      throws = error;
    }
    return Response.json({
      events,
      reason: controller.signal.reason,
      default: plain.signal.reason.name,
      timeout: timeout.reason.name,
      any: any.aborted,
      throws,
      fetch: await fetch("http://example.com/", { signal: plain.signal }).catch((error) => error.name),
    });
  },
};
