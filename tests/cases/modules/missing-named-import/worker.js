import { absent } from "./lib.js";

export default { fetch: () => new Response(absent) };
