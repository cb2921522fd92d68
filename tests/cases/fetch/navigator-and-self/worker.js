export default {
  fetch() {
    const heard = [];
    const listener = (event) => heard.push(event.type);
    addEventListener("mine", listener);
    dispatchEvent(new Event("mine"));
    removeEventListener("mine", listener);
    dispatchEvent(new Event("mine"));
    return Response.json({
      agent: /^Holm/.test(navigator.userAgent),
      self: self === globalThis,
      target: globalThis instanceof EventTarget,
      heard,
    });
  },
};
