const encoder = new TextEncoder();

async function* letters() {
  for (const letter of "abc") yield encoder.encode(letter);
}

export default {
  fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/async-iterator") return new Response(ReadableStream.from(letters()));
    if (pathname === "/not-bytes") {
      return new Response(new ReadableStream({
        pull(controller) {
          controller.enqueue({ not: "bytes" });
        },
      }));
    }
    let count = 0;
    return new Response(new ReadableStream({
      async pull(controller) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        controller.enqueue(encoder.encode(`${count} `));
        count += 1;
        if (count === 5) controller.close();
      },
    }));
  },
};
