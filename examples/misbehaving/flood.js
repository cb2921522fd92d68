// Floods: its log, or somebody else's door.
export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/fetch") {
      let answers = 0;
      for (;;) {
        const response = await fetch("http://calm.localhost:8081/");
        await response.text();
        console.log(`answer ${++answers}`);
      }
    }
    for (;;) console.log("x".repeat(100));
  },
};
