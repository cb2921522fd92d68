// A function of the size that applications have: what such a one imports, each package used by a
// route. The first request needs the router alone; all the rest is parsed and set up for it too.
// NUMBER is written before the bundle, as for `numbered`.
import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { createClient } from "@supabase/supabase-js";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/sqlite-proxy";
import { integer, sqliteTable, text } from "drizzle-orm/sqlite-core";
import { createSchema, createYoga } from "graphql-yoga";
import { Hono } from "hono";
import OpenAI from "openai";
import * as z from "zod";

const Order = z.object({
  id: z.number().int().positive(),
  email: z.email(),
  items: z.array(z.object({ sku: z.string(), count: z.number().int() })).min(1),
});

const orders = sqliteTable("orders", {
  id: integer("id").primaryKey(),
  email: text("email").notNull(),
});

const yoga = createYoga({
  schema: createSchema({
    typeDefs: "type Query { hello: String }",
    resolvers: { Query: { hello: () => "Hello" } },
  }),
});

const app = new Hono();
app.get("/", (c) => c.text(`Hello from ${NUMBER}`));
app.all("/graphql", (c) => yoga.fetch(c.req.raw));
app.post("/orders", async (c) => {
  const order = Order.parse(await c.req.json());
  const db = drizzle(async () => ({ rows: [] }));
  return c.json(await db.select().from(orders).where(eq(orders.id, order.id)));
});
app.get("/users", async (c) => {
  const supabase = createClient("https://example.com", "key");
  return c.json(await supabase.from("users").select("*"));
});
app.get("/ask", async (c) => {
  const ai = new OpenAI({ apiKey: "key" });
  return c.json(await ai.chat.completions.create({ model: "model", messages: [] }));
});
app.get("/files/:key", async (c) => {
  const s3 = new S3Client({ region: "auto", credentials: { accessKeyId: "id", secretAccessKey: "secret" } });
  const object = await s3.send(new GetObjectCommand({ Bucket: "files", Key: c.req.param("key") }));
  return c.body(object.Body);
});

export default app;
