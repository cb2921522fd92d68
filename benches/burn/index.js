// What a noisy neighbour runs: some 40 ms of CPU. The count is fixed because the clock
// stands still while a function computes.
const STEPS = 30_000_000;

export default {
  fetch() {
    let sum = 0;
    for (let step = 0; step < STEPS; step++) sum += step;
    return new Response(String(sum));
  },
};
