// One of many functions. What tells them apart is written before this line: `const NUMBER = 7;`
export default {
  fetch() {
    return new Response(`Hello from ${NUMBER}`);
  },
};
