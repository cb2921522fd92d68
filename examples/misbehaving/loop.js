// Loops for ever. `try … finally` around a loop is how some code tries to survive being ended.
export default {
  fetch(request) {
    const path = new URL(request.url).pathname;
    if (path === "/promises") return (async () => { for (;;) await null; })();
    if (path === "/finally") return again();
    for (;;);
  },
};

function again() {
  try {
    for (;;);
  } finally {
    again();
  }
}
