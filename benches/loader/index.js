// How workerd is given functions that it has never run: this one loads each when it is asked for
// first, from its code and the number that tells it from the others, and keeps it.
import code from "function.js";

let loaded = 0;

export default {
  fetch(request, env) {
    const [name] = new URL(request.url).hostname.split(".");
    if (name === "loaded") return new Response(String(loaded));
    const worker = env.LOADER.get(name, async () => {
      loaded += 1;
      return {
        compatibilityDate: "2026-06-01",
        mainModule: "index.js",
        modules: { "index.js": `const NUMBER = ${name.slice(1)};\n${code}` },
      };
    });
    return worker.getEntrypoint().fetch(request);
  },
};
