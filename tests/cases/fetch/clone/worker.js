export default {
  async fetch(request) {
    const other = request.clone();
    const response = new Response("answer");
    const copy = response.clone();
    const result = {
      request: [await request.text(), await other.text()],
      response: [await copy.text(), await response.text()],
    };
    try {
      response.clone();
    } catch (error) {
      result.late = error.name;
    }
    return Response.json(result);
  },
};
