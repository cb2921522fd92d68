export default {
  fetch(request) {
    const upper = new TransformStream({
      transform(text, controller) {
        controller.enqueue(text.toUpperCase());
      },
    });
    const body = request.body
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(upper)
      .pipeThrough(new TextEncoderStream());
    return new Response(body);
  },
};
