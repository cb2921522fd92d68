// Never answers: it waits for a timer, or for a promise that nothing will ever settle.
export default {
  fetch(request) {
    if (new URL(request.url).pathname === "/promise") return new Promise(() => {});
    return new Promise((resolve) => setInterval(() => {}, 100));
  },
};
