// A request as deno_fetch's `Request` wants it below.
(function () {
const { core, primordials } = __bootstrap;
const { op_holm_request_headers } = core.ops;
const { ArrayPrototypePush } = primordials;

/** What `Request` wants below it; everything beyond the method is made when it is asked for. */
class IncomingRequest {
  #id;
  #url;
  #headers = null;
  redirectMode = "follow";
  redirectCount = 0;
  clientRid = null;
  blobUrlEntry = null;
  urlList;
  urlListProcessed;
  body;
  method;
  cancelled = null;

  constructor(id, method, url, body) {
    this.#id = id;
    this.#url = url;
    this.method = method;
    this.body = body;
    this.urlListProcessed = [url];
    this.urlList = [() => url];
  }

  url() {
    return this.#url;
  }

  currentUrl() {
    return this.#url;
  }

  get headerList() {
    if (this.#headers === null) {
      const flat = op_holm_request_headers(this.#id);
      const list = [];
      for (let i = 0; i < flat.length; i += 2) {
        ArrayPrototypePush(list, [flat[i], flat[i + 1]]);
      }
      this.#headers = list;
    }
    return this.#headers;
  }

  set headerList(list) {
    this.#headers = list;
  }

  onCancel(callback) {
    this.cancelled = callback;
  }
}

return { IncomingRequest };
})();
