/** A token server (Docker's protocol and its OAuth 2 form). Tests write its file: who may read what. */
import { appendFileSync, readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type CryptoKey, SignJWT } from 'jose';

export interface Member {
  readonly password: string;
  readonly identityToken?: string;
  /** Beginnings of the names of the repositories that this member may read. */
  readonly reads: readonly string[];
  /** Of those that it may also push to and delete from. */
  readonly writes?: readonly string[];
}

/** By user name; `anonymous` is whoever shows nothing. */
export type Members = Readonly<Record<string, Member>>;

/** A line of the log: who asked for what, and what came of it. */
export interface TokenLogEntry {
  /** Undefined when the credentials were wrong. */
  readonly user?: string | undefined;
  readonly repositories: readonly string[];
}

export interface TokenServerOptions {
  readonly membersFile: string;
  readonly logFile: string;
  readonly key: CryptoKey;
  readonly keyId: string;
  readonly issuer: string;
  readonly service: string;
}

const LIFETIME_SECONDS = 60;
const SCOPE = /^repository:([^:]+):(.*)$/;

export function tokenHandler(
  options: TokenServerOptions,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    void answer(options, request, response).catch((error: unknown) => {
      console.error(error);
      response.destroy();
    });
  };
}

async function answer(
  { membersFile, logFile, key, keyId, issuer, service }: TokenServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const members = JSON.parse(readFileSync(membersFile, 'utf8')) as Members;
  const form = request.method === 'POST' ? new URLSearchParams(await text(request)) : undefined;
  const query = form ?? new URL(request.url ?? '/', 'http://token').searchParams;
  const user = form ? userOfForm(members, form) : userOfBasic(members, request.headers.authorization);
  const scopes = query.getAll('scope').flatMap((scope) => scope.split(' '));
  const asked = scopes.flatMap((scope) => {
    const [, name, actions = ''] = SCOPE.exec(scope) ?? [];
    return name === undefined ? [] : [{ name, actions: actions.split(',') }];
  });
  const repositories = asked.map(({ name }) => name);
  appendFileSync(logFile, `${JSON.stringify({ user, repositories } satisfies TokenLogEntry)}\n`);
  if (user === undefined) {
    response.writeHead(401).end(JSON.stringify({ errors: [{ code: 'UNAUTHORIZED', message: 'who?' }] }));
    return;
  }
  const access = asked
    .map(({ name, actions }) => ({
      type: 'repository',
      name,
      actions: granted(members[user], name, actions),
    }))
    .filter(({ actions }) => actions.length > 0);
  const token = await new SignJWT({ access })
    .setProtectedHeader({ alg: 'ES256', typ: 'JWT', kid: keyId })
    .setIssuer(issuer)
    .setSubject(user)
    .setAudience(service)
    .setIssuedAt()
    .setNotBefore('-10s')
    .setExpirationTime(`${LIFETIME_SECONDS}s`)
    .sign(key);
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ token, access_token: token, expires_in: LIFETIME_SECONDS }));
}

function granted(member: Member | undefined, name: string, actions: readonly string[]): string[] {
  const { reads = [], writes = [] } = member ?? {};
  const isBelow = (beginnings: readonly string[]): boolean =>
    beginnings.some((beginning) => name.startsWith(beginning));
  return actions.filter((action) => isBelow(writes) || (action === 'pull' && isBelow(reads)));
}

function userOfBasic(members: Members, authorization: string | undefined): string | undefined {
  if (authorization === undefined) return 'anonymous';
  const pair = Buffer.from(authorization.replace(/^Basic /, ''), 'base64').toString();
  return Object.keys(members).find((name) => pair === `${name}:${members[name]?.password ?? ''}`);
}

/** Runtimes send their password so, too. */
function userOfForm(members: Members, form: URLSearchParams): string | undefined {
  if (form.get('grant_type') === 'password') {
    const [name, password] = [form.get('username') ?? '', form.get('password')];
    return members[name]?.password === password ? name : undefined;
  }
  return Object.keys(members).find((name) => members[name]?.identityToken === form.get('refresh_token'));
}

async function text(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += String(chunk);
  return body;
}
