// Builds what the examples need built, into `*/dist/` (not in git). Run by
// `make setup`; by hand: `npm ci && npm run build` in this folder.
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import asc from "assemblyscript/asc";

const here = fileURLToPath(new URL(".", import.meta.url));

/** One file an app, with the packages it uses, for a runtime that resolves none. */
async function bundle(folder, entry) {
  await build({
    absWorkingDir: here,
    entryPoints: [`${folder}/${entry}`],
    outfile: `${folder}/dist/index.js`,
    bundle: true,
    format: "esm",
    target: "esnext",
    // Takes the builds that packages make for edge runtimes, not those for Node.
    conditions: ["workerd", "worker"],
    platform: "neutral",
    mainFields: ["module", "main"],
    sourcemap: true, // stack traces in the log then show the lines of the source
    logLevel: "warning",
  });
  console.log(`  ${folder}/dist/index.js`);
}

async function wasm(folder, entry, output) {
  const { error, stderr } = await asc.main([
    `${folder}/${entry}`,
    "--baseDir", here,
    "--outFile", `${folder}/dist/${output}`,
    "--optimizeLevel", "3",
    "--runtime", "stub", // no garbage collector: this module never frees
    "--use", "abort=", // and needs nothing from outside
  ]);
  if (error) throw new Error(`${folder}/${entry}: ${error.message}\n${stderr}`);
  console.log(`  ${folder}/dist/${output}`);
}

await bundle("hono", "app.ts");
await bundle("itty", "app.js");
await wasm("wasm", "mandelbrot.ts", "mandelbrot.wasm");
