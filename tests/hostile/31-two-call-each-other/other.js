export default {
  fetch() {
    return fetch("http://offender.test/");
  },
};
