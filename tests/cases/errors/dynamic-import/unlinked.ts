interface Gone {
  one: number;
}

import { absent } from "./worker.ts";
export default absent;
