type Cause = { cause: unknown };

function inner(): never {
  throw new TypeError("inner");
}

function outer(): never {
  try {
    inner();
  } catch (cause) {
    const options: Cause = { cause };
    throw new Error("outer", options);
  }
}

async function late(): Promise<never> {
  await null;
  throw new RangeError("late");
}

async function later(): Promise<never> {
  return await late();
}

export default {
  async fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/async") await later();
    if (pathname === "/log") {
      try {
        outer();
      } catch (error) {
        console.log(error);
      }
      return new Response("logged");
    }
    if (pathname === "/value") throw new Error("outer", { cause: "a word" });
    outer();
  },
};
