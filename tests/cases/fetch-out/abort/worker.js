export default {
  async fetch(request, env) {
    const name = (error) => error.name;
    const gone = async (key) => (await fetch(`${env.ORIGIN}/gone?${key}`)).text();

    const first = new AbortController();
    const pending = fetch(`${env.ORIGIN}/hang?abort-before`, { signal: first.signal }).catch(name);
    setTimeout(() => first.abort(), 50);
    const before = await pending;

    const second = new AbortController();
    const response = await fetch(`${env.ORIGIN}/hang-body?abort-after`, { signal: second.signal });
    const text = response.text().catch(name);
    second.abort();
    const after = await text;

    const timeout = await fetch(`${env.ORIGIN}/hang?abort-timeout`, { signal: AbortSignal.timeout(30) }).catch(name);
    const unread = await fetch(`${env.ORIGIN}/hang-body?abort-cancel`);
    await unread.body.cancel();
    return Response.json({
      before,
      gone_before: await gone("abort-before"),
      after,
      gone_after: await gone("abort-after"),
      timeout,
      canceled: await gone("abort-cancel"),
    });
  },
};
