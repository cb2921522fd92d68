// Takes memory until there is none: in V8's heap, or beside it in ArrayBuffers.
export default {
  fetch(request) {
    const hoard = [];
    if (new URL(request.url).pathname === "/buffers") {
      for (;;) hoard.push(new Uint8Array(16 << 20));
    }
    for (;;) hoard.push(new Array(1000).fill(hoard.length));
  },
};
