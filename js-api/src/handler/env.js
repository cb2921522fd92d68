// `env`, the second argument of a handler.
(function () {
const { core, primordials } = __bootstrap;
const { JSONParse, ObjectFreeze } = primordials;

const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { Request, toInnerRequest } = core.loadExtScript("ext:deno_fetch/23_request.js");

/** In the place of deno_fetch's client, it sends a request to the files beside the function. */
const ASSETS = 1;

/** A binding that is asked as a server would be. */
class Fetcher {
  async fetch(input, init = undefined) {
    const request = new Request(input, init);
    const inner = toInnerRequest(request);
    inner.clientRid = ASSETS;
    // Where a file has moved to is for the client to follow, and may be another server's.
    inner.redirectMode = "manual";
    return await core.loadExtScript("ext:deno_fetch/26_fetch.js").fetch(request);
  }
}
webidl.configureInterface(Fetcher);

/** What makes `env` of `vars`, the JSON text of an object, and of a binding called `assets`, if there is to be one. */
function envOf(vars, assets) {
  const make = valuesOf(vars);
  if (assets === undefined) return make;
  // All requests have the same one: none may leave something on it for the next.
  ObjectFreeze(Fetcher.prototype);
  const fetcher = ObjectFreeze(new Fetcher());
  return () => {
    const env = make();
    env[assets] = fetcher;
    return env;
  };
}

function valuesOf(vars) {
  const values = JSONParse(vars);
  for (const name in values) {
    // A copy would share it; nothing that is deep is copied faster than it is read.
    if (typeof values[name] === "object") return () => JSONParse(vars);
  }
  return () => ({ ...values });
}

return { envOf };
})();
