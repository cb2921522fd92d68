class Worker {
  fetch() {
    return new Response("hi");
  }
  email() {}
}
export default new Worker();
