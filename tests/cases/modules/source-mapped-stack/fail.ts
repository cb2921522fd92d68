// Types above the throw vanish when transpiled, so the lines of what runs differ.
interface Gone {
  one: number;
  two: number;
}

export function fail(): never {
  const value = undefined as Gone | undefined;
  if (!value) {
  throw new Error("deep down");
  }
  throw new Error(`never: ${value.one}`);
}
