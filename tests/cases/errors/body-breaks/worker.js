const encoder = new TextEncoder();

export default {
  fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/fine") return new Response("fine");
    let pulls = 0;
    const stream = new ReadableStream({
      async pull(controller) {
        pulls += 1;
        await new Promise((resolve) => setTimeout(resolve, 20));
        if (pulls === 1) return controller.enqueue(encoder.encode("begin"));
        if (pathname === "/never-ends") return new Promise(() => {});
        controller.error(new Error("broke midway"));
      },
    });
    return new Response(stream);
  },
};
