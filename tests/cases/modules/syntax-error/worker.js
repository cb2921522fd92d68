export default {
  fetch() {
    return (;
  },
};
