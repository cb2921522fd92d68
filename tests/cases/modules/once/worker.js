import { count as one } from "./one.js";
import { count as two } from "./two.js";

export default {
  fetch() {
    return new Response(`${one} ${two}`);
  },
};
