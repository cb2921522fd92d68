// itty-router, bundled from npm into `dist/index.js` like the Hono app.
// AutoRouter turns what a handler returns into a JSON response, a missing route
// into a 404, and a thrown error into a response with its status.
import { AutoRouter, error, text } from "itty-router";

const router = AutoRouter();

router
  .get("/", () => text("Try /sum/2/40\n"))
  .get("/sum/:a/:b", ({ a, b }) => {
    const sum = Number(a) + Number(b);
    return Number.isFinite(sum) ? { sum } : error(400, "both must be numbers");
  })
  .post("/echo", async (request) => ({ youSent: await request.json() }));

export default router;
