export default {
  fetch(request, env, ctx) {
    const { readable, writable } = new TransformStream();
    ctx.waitUntil(write(writable.getWriter()));
    return new Response(readable);
  },
};

async function write(writer) {
  const encoder = new TextEncoder();
  for (const text of ["first ", "second ", "third"]) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    await writer.write(encoder.encode(text));
  }
  await writer.close();
}
