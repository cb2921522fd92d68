interface Gone {
  one: number;
}

export const names: string[] = ["a"];
export { names };
