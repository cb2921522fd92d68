interface Settings {
  secret?: string;
}

function secret(settings: Settings): string {
  if (!settings.secret) {
    throw new Error("no secret");
  }
  return settings.secret;
}

const key = secret({});

export default { fetch: () => new Response(key) };
