import { help } from "./halper.js";

export default { fetch: () => new Response(help) };
