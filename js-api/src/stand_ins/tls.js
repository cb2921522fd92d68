// What deno_fetch reads of deno_net: only `Deno.createHttpClient`, which functions cannot reach,
// would call it.
(function () {
return {
  loadTlsKeyPair() {
    return undefined;
  },
};
})();
