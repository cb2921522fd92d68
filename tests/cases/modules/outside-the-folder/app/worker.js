import { secret } from "../secret.js";

export default { fetch: () => new Response(String(secret)) };
