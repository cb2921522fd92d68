import fs from "node:fs";

export default { fetch: () => new Response(typeof fs) };
