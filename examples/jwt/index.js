// A JSON API with tokens.
//
//     curl http://jwt.localhost:8080/token -d '{"user":"ada"}'
//     curl http://jwt.localhost:8080/me -H 'authorization: Bearer TOKEN'
import { sign, TokenError, verify } from "./token.js";

const LIFETIME = 3600; // seconds

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    switch (`${request.method} ${pathname}`) {
      case "POST /token":
        return issue(request, env);
      case "GET /me":
        return me(request, env);
      default:
        return Response.json({ error: "try POST /token or GET /me" }, { status: 404 });
    }
  },
};

/** Anyone who asks gets a token: a real service would want a password first. */
async function issue(request, env) {
  const body = await request.json().catch(() => null);
  if (typeof body?.user !== "string") {
    return Response.json({ error: 'send JSON like {"user":"ada"}' }, { status: 400 });
  }
  const iat = seconds();
  const claims = { iss: env.ISSUER, sub: body.user, iat, exp: iat + LIFETIME };
  return Response.json({ token: await sign(claims, env.SECRET), expiresIn: LIFETIME });
}

async function me(request, env) {
  const [scheme, token] = (request.headers.get("authorization") ?? "").split(" ");
  if (scheme.toLowerCase() !== "bearer" || !token) return denied("a bearer token is missing");
  try {
    const claims = await verify(token, env.SECRET, seconds());
    return Response.json({ user: claims.sub, issuer: claims.iss });
  } catch (error) {
    if (error instanceof TokenError) return denied(error.message);
    throw error; // a mistake of ours: the log shows it, the client sees a 500
  }
}

function denied(error) {
  return Response.json({ error }, { status: 401, headers: { "www-authenticate": "Bearer" } });
}

const seconds = () => Math.floor(Date.now() / 1000);
