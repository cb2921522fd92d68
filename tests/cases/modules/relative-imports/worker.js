import { hello } from "./lib/greet.js";
import * as greet from "./lib/greet.js";

export default {
  fetch() {
    return Response.json({
      greeting: hello(greet.default),
      names: Object.keys(greet),
      meta: import.meta.url.endsWith("/worker.js"),
    });
  },
};
