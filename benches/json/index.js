// A small object, made for each request and written as JSON.
let asked = 0;

export default {
  fetch() {
    asked += 1;
    return Response.json({ id: asked, name: `item ${asked}`, even: asked % 2 === 0, tags: ["edge", "function"] });
  },
};
