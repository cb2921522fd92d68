// The neighbour: does what it should.
export default {
  fetch() {
    return new Response("calm\n");
  },
};
