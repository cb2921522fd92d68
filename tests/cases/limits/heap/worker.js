export default {
  fetch(request) {
    if (new URL(request.url).pathname === "/fine") return new Response("fine");
    const hoard = [];
    for (;;) hoard.push({ index: hoard.length, text: `item ${hoard.length}` });
  },
};
