const timer = (ms, value) => new Promise((resolve) => setTimeout(resolve, ms, value));

export default {
  async fetch() {
    const order = [];
    const late = setTimeout(() => order.push("timer 90"), 90);
    setTimeout(() => order.push("timer 40"), 40);
    setTimeout(() => order.push("timer 0"), 0);
    queueMicrotask(() => order.push("microtask"));
    Promise.resolve().then(() => order.push("promise"));
    order.push("sync");

    let cleared = true;
    clearTimeout(setTimeout(() => (cleared = false), 1));
    clearTimeout(undefined);
    clearTimeout(1e9);
    let interval = 0;
    await new Promise((resolve) => {
      const id = setInterval(() => {
        interval += 1;
        if (interval === 3) {
          clearInterval(id);
          resolve();
        }
      }, 1);
    });
    const argument = await timer(150, "given");
    clearTimeout(late);
    return Response.json({ order, interval, cleared, argument });
  },
};
