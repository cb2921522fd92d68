export default {
  fetch(request) {
    if (new URL(request.url).pathname === "/objects") {
      console.log({ nested: { deep: [1, 2] } });
      console.log(new Error("shown"));
      return new Response("logged");
    }
    console.log("plain", 1, true);
    console.log("formatted %s %d %j%%", "x", 42, { a: 1 });
    console.debug("a debug line");
    console.info("an info line");
    console.warn("a warning");
    console.error("an error");
    console.log("two\nlines");
    return new Response("logged");
  },
};
