// A pattern that takes twice as long for each letter more, on text that a client sends: the most
// common way to loop without meaning to.
export default {
  fetch(request) {
    const text = new URL(request.url).searchParams.get("text") ?? "";
    return new Response(`${/^(a+)+$/.test(text)}\n`);
  },
};
