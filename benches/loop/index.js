// Ends by its CPU limit alone.
export default {
  fetch() {
    for (;;) {}
  },
};
