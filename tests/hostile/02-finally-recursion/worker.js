function loop() {
  try {
    for (;;);
  } finally {
    loop();
  }
}

export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    loop();
    return new Response("survived");
  },
};
