let requests = 0;

export default {
  fetch(request) {
    if (new URL(request.url).pathname === "/loop") for (;;);
    requests += 1;
    return new Response(String(requests));
  },
};
