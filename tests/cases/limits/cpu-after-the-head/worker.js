export default {
  fetch() {
    let pulls = 0;
    return new Response(new ReadableStream({
      async pull(controller) {
        pulls += 1;
        await new Promise((resolve) => setTimeout(resolve, 20));
        if (pulls === 1) return controller.enqueue(new TextEncoder().encode("begin"));
        for (;;);
      },
    }));
  },
};
