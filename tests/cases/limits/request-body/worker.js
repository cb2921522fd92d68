export default {
  async fetch(request) {
    return new Response(String((await request.arrayBuffer()).byteLength));
  },
};
