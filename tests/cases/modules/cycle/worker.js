import { even } from "./even.js";

export default {
  fetch() {
    return new Response(`even: ${even(10)}`);
  },
};
