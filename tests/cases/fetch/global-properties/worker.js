const OPERATIONS = ["fetch", "structuredClone", "atob", "btoa", "setTimeout", "setInterval",
  "clearTimeout", "clearInterval", "queueMicrotask", "reportError"];
const isInterface = (name) => /^[A-Z]/.test(name) && name !== "NaN" && name !== "Infinity";

function faults() {
  const found = [];
  for (const name of Object.getOwnPropertyNames(globalThis)) {
    const { value, writable, enumerable, configurable } = Object.getOwnPropertyDescriptor(globalThis, name);
    const is = [writable, enumerable, configurable].join();
    if (isInterface(name) && (value === undefined || is !== "true,false,true")) found.push([name, is]);
    if (OPERATIONS.includes(name) && (typeof value !== "function" || is !== "true,true,true")) found.push([name, is]);
  }
  return found;
}

// Before anything has looked at one of them.
const written = [];
globalThis.FileReader = "mine";
written.push(FileReader, Object.keys(globalThis).includes("structuredClone"));
written.push(typeof MessageChannel);
delete globalThis.EventSource;
written.push(typeof EventSource);
const before = faults();

export default {
  fetch() {
    const named = Object.getOwnPropertyNames(globalThis);
    const accessors = named.filter((name) => Object.getOwnPropertyDescriptor(globalThis, name).get);
    const names = named.filter((name) =>
      isInterface(name) && typeof globalThis[name] === "function" && globalThis[name].name !== name);
    return Response.json({ before, after: faults(), accessors: accessors.sort(), names, written });
  },
};
