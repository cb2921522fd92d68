export default {
  fetch({ headers }) {
    const count = [...headers].filter(([name]) => name === "cookie").length;
    return new Response(`${headers.get("cookie")} | ${count} | ${headers.get("x-list")}`);
  },
};
