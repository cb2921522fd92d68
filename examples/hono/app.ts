// A Hono app. Holm resolves no npm packages while it serves; `make setup` bundles
// this file and Hono into `dist/index.js` with esbuild (see ../build.mjs). A Hono
// app has a `fetch` method, so it is a function as it stands.
import { Hono } from "hono";
import { HTTPException } from "hono/http-exception";

interface Note {
  id: number;
  text: string;
}

// Each isolate has its own copy of this list and may end at any time: fit for a
// demonstration, not for keeping anything.
const notes: Note[] = [{ id: 1, text: "Edit hono/app.ts and run make setup" }];

const app = new Hono();

// Middleware runs around every handler below.
app.use(async (c, next) => {
  await next();
  c.header("x-powered-by", "Hono on Holm");
});

app.get("/", (c) => c.html("<!doctype html><title>Hono</title><h1>Hono on Holm</h1><p><a href=/notes>notes</a>"));

app.get("/notes", (c) => c.json(notes));

app.get("/notes/:id{[0-9]+}", (c) => {
  const note = notes.find((note) => note.id === Number(c.req.param("id")));
  if (note === undefined) throw new HTTPException(404, { message: "no such note" });
  return c.json(note);
});

app.post("/notes", async (c) => {
  const { text } = await c.req.json<{ text?: unknown }>();
  if (typeof text !== "string" || text === "") throw new HTTPException(400, { message: "text is missing" });
  // Nothing is stored, so that the answer is the same on every isolate.
  return c.json({ id: notes.length + 1, text }, 201);
});

app.onError((error, c) => {
  const status = error instanceof HTTPException ? error.status : 500;
  return c.json({ error: error.message }, status);
});

export default app;
