import type { Greeting, User } from "./types.ts";

export function greet({ text }: Greeting, { id }: User): string {
  return `${text}, ${id}`;
}
