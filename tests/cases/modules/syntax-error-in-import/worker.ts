import { value } from "./lib/types.ts";

export default { fetch: () => new Response(String(value)) };
