export default {
  fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/") throws();
    if (pathname === "/async") return Promise.reject(new RangeError("later"));
    return new Response("fine");
  },
};

function throws() {
  console.log("about to throw");
  throw new Error("the password is 1234");
}
