class App {
  #text = "from the prototype";

  fetch() {
    return new Response(this.#text);
  }
}

export default new App();
