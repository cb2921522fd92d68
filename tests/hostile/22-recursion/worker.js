const plain = () => plain() + 1;
const proxied = new Proxy({}, { get: (target, key, receiver) => receiver[key] });
const printed = { toString: () => `${printed}` };
const compared = () => [2, 1].sort(compared) && 0;
const nested = () => JSON.stringify({ toJSON: nested });
const replaced = () => "a".replace(/a/, replaced);
const spread = (...all) => spread(...all, ...all);

class Deep {
  static get [Symbol.species]() {
    return new Deep();
  }

  constructor() {
    new Deep();
  }
}

const ways = {
  plain,
  proxied: () => proxied.x,
  printed: () => String(printed),
  compared,
  nested,
  replaced,
  spread: () => spread(1, 2),
  constructed: () => new Deep(),
  regular: () => new RegExp("(".repeat(1e6) + ")".repeat(1e6)),
  headers: () => {
    const init = {
      get a() {
        return new Headers(init);
      },
    };
    new Headers(init);
  },
};

export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/calm") return new Response("calm");
    const names = {};
    for (const [name, act] of Object.entries(ways)) {
      try {
        act();
        names[name] = "nothing";
      } catch (error) {
        names[name] = error.name;
      }
    }
    return Response.json(names);
  },
};
