let requests = 0;

export default {
  fetch() {
    requests += 1;
    return new Response(String(requests));
  },
};
