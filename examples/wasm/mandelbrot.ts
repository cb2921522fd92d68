// AssemblyScript: TypeScript's syntax, compiled to WebAssembly by `make setup`
// (into dist/mandelbrot.wasm). Draws the Mandelbrot set as text.

const SHADES = " .:-=+*#%@"; // few steps to escape … never
const LIMIT = 200; // steps after which a point counts as inside

// One byte a character; JavaScript reads the picture from here.
const picture = new Uint8Array(200 * 101);

/** Where the picture begins in the memory that this module exports. */
export function address(): usize {
  return picture.dataStart;
}

/** Draws around (x, y), `span` wide; returns the length of the text. */
export function draw(x: f64, y: f64, span: f64, columns: i32, rows: i32): i32 {
  columns = min(max(columns, 1), 199);
  rows = min(max(rows, 1), 100);
  const step = span / f64(columns);
  let at = 0;
  for (let row = 0; row < rows; row++) {
    // A character is about twice as high as it is wide.
    const ci = y + 2.0 * step * (f64(row) - f64(rows - 1) / 2.0);
    for (let column = 0; column < columns; column++) {
      const cr = x + step * (f64(column) - f64(columns - 1) / 2.0);
      picture[at++] = u8(SHADES.charCodeAt(shade(cr, ci)));
    }
    picture[at++] = 10; // a line's end
  }
  return at;
}

function shade(cr: f64, ci: f64): i32 {
  let r = 0.0;
  let i = 0.0;
  for (let steps = 0; steps < LIMIT; steps++) {
    if (r * r + i * i > 4.0) return min(steps / 2, SHADES.length - 2);
    const next = r * r - i * i + cr;
    i = 2.0 * r * i + ci;
    r = next;
  }
  return SHADES.length - 1;
}
