export default {
  fetch(request) {
    const path = new URL(request.url).pathname === "/throws" ? "/throws" : "/path?q=1";
    return fetch(`http://inner.to-a-function.fetch-out.test${path}`, request);
  },
};
