export default {
  fetch() {
    console.table([{ a: 1 }]);
    console.group("outer");
    console.log("inner");
    console.groupEnd();
    console.count("calls");
    console.count("calls");
    console.time("took");
    console.timeEnd("took");
    console.assert(true, "never shown");
    console.assert(false, "not so");
    console.trace("here");
    console.dir({ dir: 1 });
    return new Response("logged");
  },
};
