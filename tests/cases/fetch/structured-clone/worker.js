export default {
  fetch() {
    const value = { map: new Map([["k", 1]]), date: new Date(0), error: new RangeError("r") };
    value.self = value;
    const copy = structuredClone(value);
    const buffer = new ArrayBuffer(4);
    const moved = structuredClone(buffer, { transfer: [buffer] });
    let functions;
    try {
      structuredClone(() => {});
    } catch (error) {
      functions = error.name;
    }
    return Response.json({
      map: [...copy.map],
      date: copy.date.getTime(),
      cycle: copy.self === copy && copy !== value,
      error: String(copy.error),
      moved: [moved.byteLength, buffer.byteLength],
      function: functions,
    });
  },
};
