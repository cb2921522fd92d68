export default {
  fetch() {
    for (let index = 0; index < 100; index += 1) console.log(`line ${index} ${"x".repeat(90)}`);
    return new Response("logged");
  },
};
