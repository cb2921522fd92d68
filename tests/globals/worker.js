// Touches every name of ECMA-429 and reports what is there.
import names from "./ecma-429.json" with { type: "json" };

// The holder of a dotted name and its last part.
function locate(name) {
  const parts = name.split(".");
  const last = parts.pop();
  return [parts.reduce((value, part) => value?.[part], globalThis), last];
}

function interfaceFault(value, name) {
  if (typeof value !== "function") return `a ${typeof value}`;
  if (value.name !== name) return `named ${value.name}`;
  if (typeof value.prototype !== "object") return "without a prototype";
  return undefined;
}

// An event handler attribute: null at first, holds a function, and turns anything else into null.
function handlerFault(holder, name) {
  if (holder[name] !== null) return `${holder[name]} at first`;
  const handler = () => {};
  holder[name] = handler;
  const held = holder[name] === handler;
  holder[name] = null;
  return held ? undefined : "does not hold a function";
}

function globalFault(holder, name, kind) {
  if (kind === "handler") return handlerFault(holder, name);
  const value = holder[name];
  if (value === null || typeof value !== kind) return `a ${typeof value}, not a ${kind}`;
  return undefined;
}

export default {
  fetch() {
    const report = { present: [], missing: [], wrong: [] };
    const look = (name, fault) => {
      const [holder, last] = locate(name);
      if (holder === undefined || !(last in holder)) {
        report.missing.push(name);
        return;
      }
      report.present.push(name);
      const found = fault(holder, last);
      if (found) report.wrong.push([name, found]);
    };
    for (const name of names.interfaces) look(name, (holder, last) => interfaceFault(holder[last], last));
    for (const [name, kind] of Object.entries(names.globals)) {
      look(name, (holder, last) => globalFault(holder, last, kind));
    }
    return Response.json(report);
  },
};
