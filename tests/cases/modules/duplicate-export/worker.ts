interface Gone {
  one: number;
}

export const names: string[] = ["a"];
export { names };
export default { fetch: () => new Response("hi") };
