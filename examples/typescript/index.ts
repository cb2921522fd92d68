// TypeScript is transpiled when the function is loaded: types vanish, nothing is
// type-checked (your editor or `tsc --noEmit` does that), and stack traces in the
// log name these lines. Imports are relative and name the file with its ending.
import { convert, isUnit } from "./temperature.ts";
import type { Unit } from "./temperature.ts";

interface Answer {
  value: number;
  unit: Unit;
}

// http://typescript.localhost:8080/?value=20&from=C&to=F
export default {
  fetch(request: Request): Response {
    const query = new URL(request.url).searchParams;
    const [from, to] = [query.get("from") ?? "C", query.get("to") ?? "F"];
    const value = Number(query.get("value") ?? "20");

    if (!isUnit(from) || !isUnit(to) || !Number.isFinite(value)) {
      return Response.json({ error: "value is a number; from and to are C, F or K" }, { status: 400 });
    }
    const answer: Answer = { value: convert(value, from, to), unit: to };
    return Response.json(answer);
  },
};
