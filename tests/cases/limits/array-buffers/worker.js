export default {
  fetch() {
    const hoard = [];
    try {
      for (let index = 0; index < 24; index += 1) hoard.push(new ArrayBuffer(64 * 1024 * 1024));
      return new Response(`${hoard.length} buffers`);
    } catch (error) {
      return new Response(error.name);
    }
  },
};
