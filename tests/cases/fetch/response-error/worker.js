export default {
  fetch() {
    return Response.error();
  },
};
