export { NAME as default } from "../name.js";
export const hello = (name) => `hello, ${name}`;
