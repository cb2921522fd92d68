import type { Greeting } from "./types.ts";
import { type User, Role } from "./types.ts";
import { greet } from "./greet.ts";

interface Env {
  readonly GREETING?: string;
}

const fallback = { text: "hi" } satisfies Greeting;

class Users {
  constructor(private readonly role: Role) {}

  find<T extends number>(id: T): User {
    return { id, role: this.role as Role };
  }
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const id = Number(new URL(request.url).pathname.split("/").at(-1)!);
    const user = new Users(Role.Editor).find(id);
    const greeting = greet({ text: env.GREETING ?? fallback.text }, user);
    return Response.json({ user, name: Role[user.role], greeting });
  },
};
