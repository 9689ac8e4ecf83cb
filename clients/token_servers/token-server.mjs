// Gives each user who is signed in to an application a token for the suite, for 15 minutes: POST /chat-token.
//
// It is reached at the application's own address, through a reverse proxy, so that the application's cookie comes along.
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const { CHATKIT_INSTANCE: instance, CHATKIT_KEYS_FILE, SESSIONS = "{}" } = process.env;
const [key] = JSON.parse(readFileSync(CHATKIT_KEYS_FILE, "utf8")).keys;
const sessions = new Map(Object.entries(JSON.parse(SESSIONS)));

/** Return the id of the user who is signed in: here goes the application's own check of its cookie. */
function userOf(cookies) {
  const [, session] = /(?:^|;\s*)session=([^;]*)/.exec(cookies) ?? [];
  return sessions.get(session);
}

/** Return a JWT that says who calls, and nothing else. */
function token(userId) {
  const now = Math.floor(Date.now() / 1_000);
  const claims = { instance, iss: `api_keys/${key.id}`, sub: userId, iat: now, exp: now + 15 * 60 };
  const parts = [{ alg: "HS256", typ: "JWT" }, claims];
  const signed = parts.map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  return `${signed}.${createHmac("sha256", key.secret).update(signed).digest("base64url")}`;
}

const server = createServer((request, response) => {
  const userId = userOf(request.headers.cookie ?? "");
  const isThere = request.method === "POST" && request.url === "/chat-token";
  response.writeHead(isThere ? (userId ? 200 : 401) : 404, { "cache-control": "no-store" });
  response.end(isThere && userId ? token(userId) : "");
});
server.listen(Number(process.argv[2]), "127.0.0.1");
