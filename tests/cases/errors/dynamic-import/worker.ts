interface Gone {
  one: number;
}

export default {
  async fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/twice") await import("./twice.ts");
    if (pathname === "/unlinked") await import("./unlinked.ts");
    if (pathname === "/absent") await import("./no" + "where.ts");
    await import("./throws.ts");
    return new Response("loaded");
  },
};
