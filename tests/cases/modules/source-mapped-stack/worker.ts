import { fail } from "./fail.ts";

type Path = string;

export default {
  fetch(request: Request): Response {
    const path: Path = new URL(request.url).pathname;
    if (path !== "/caught") fail();
    try {
      fail();
    } catch (error) {
      return new Response((error as Error).stack);
    }
    return new Response("not thrown");
  },
};
