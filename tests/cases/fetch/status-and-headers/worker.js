export default {
  fetch() {
    const headers = new Headers({ "x-one": "1", "content-type": "application/x-mine" });
    headers.append("x-joined", "a");
    headers.append("x-joined", "b");
    headers.append("set-cookie", "a=1; Path=/");
    headers.append("set-cookie", "b=2; HttpOnly");
    return new Response("made", { status: 201, statusText: "Made", headers });
  },
};
