import { text } from "./text.js";

const own = await Promise.resolve("ready");

export default {
  fetch() {
    return new Response(`${own}, ${text}`);
  },
};
