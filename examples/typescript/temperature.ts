export type Unit = "C" | "F" | "K";

/** From each unit to kelvin and back. `satisfies` keeps the three keys complete. */
const SCALES = {
  C: { toKelvin: (t: number) => t + 273.15, fromKelvin: (t: number) => t - 273.15 },
  F: { toKelvin: (t: number) => ((t + 459.67) * 5) / 9, fromKelvin: (t: number) => (t * 9) / 5 - 459.67 },
  K: { toKelvin: (t: number) => t, fromKelvin: (t: number) => t },
} satisfies Record<Unit, { toKelvin(t: number): number; fromKelvin(t: number): number }>;

export function isUnit(text: string | null): text is Unit {
  return text !== null && Object.hasOwn(SCALES, text);
}

/** Converts `value`, to two decimals. */
export function convert(value: number, from: Unit, to: Unit): number {
  const exact = SCALES[to].fromKelvin(SCALES[from].toKelvin(value));
  return Math.round(exact * 100) / 100;
}
