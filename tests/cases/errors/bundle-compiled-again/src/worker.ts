import { price } from "./util.ts";

type Path = string;

export default {
  async fetch(request: Request): Promise<Response> {
    const path: Path = new URL(request.url).pathname;
    if (path === "/log") {
      try {
        price();
      } catch (error) {
        console.log(error);
      }
      return new Response("logged");
    }
    if (path === "/stack") {
      const stack = new Error("made").stack;
      return new Response(stack);
    }
    return new Response(String(price()));
  },
};
