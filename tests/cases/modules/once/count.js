globalThis.evaluated = (globalThis.evaluated ?? 0) + 1;
export const count = globalThis.evaluated;
