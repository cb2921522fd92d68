// What every server of functions runs, unchanged: the smallest answer, so that what is
// measured is the way to the function and back.
export default {
  fetch() {
    return new Response("Hello");
  },
};
