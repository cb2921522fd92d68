// Makes one file of index.js and the packages it imports: node build.mjs OUTPUT
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

await build({
  absWorkingDir: fileURLToPath(new URL(".", import.meta.url)),
  entryPoints: ["index.js"],
  outfile: process.argv[2],
  bundle: true,
  minify: true,
  format: "esm",
  target: "esnext",
  // Takes the builds that packages make for edge runtimes, else those for browsers: never Node's.
  conditions: ["workerd", "worker"],
  platform: "browser",
  logLevel: "warning",
});
