interface Gone {
  one: number;
}
export const value: Gone = { one: 1 };
const = 3;
