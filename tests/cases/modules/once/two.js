export { count } from "./count.js";
