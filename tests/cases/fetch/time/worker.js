export default {
  async fetch() {
    const [date, now] = [Date.now(), performance.now()];
    await new Promise((resolve) => setTimeout(resolve, 20));
    const later = performance.now();
    return Response.json({
      origin: performance.timeOrigin > 1.7e12,
      now: date > 1.7e12,
      advanced: later - now >= 15 && Date.now() - date >= 15,
      monotonic: performance.now() >= later,
    });
  },
};
