import type { ServerResponse } from 'node:http';
import { inspect } from 'node:util';
import { Agent } from 'undici';
import { FakeRegistry, type FakeRegistryOptions } from '../../test/fakes/registry.ts';
import { noAuthentication } from './auth/authenticator.ts';
import { upstreamPolicies } from './http/connection-policy.ts';
import { createConnections } from './http/connector.ts';
import { type RegistryRequest, Transport } from './transport.ts';
import type { UpstreamSettings, UpstreamSettingsSource } from './settings/upstream-settings.ts';

const scopes = [{ repository: 'acme/app', actions: ['pull'] as const }];
const fixed = (settings: UpstreamSettings[]): UpstreamSettingsSource => ({ get: () => settings });
const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function fake(options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start(options);
  closing.push(() => registry.close());
  return registry;
}

function transport(
  policies = upstreamPolicies(fixed([{ host: '127.0.0.1:*', allowAddresses: ['127.0.0.0/8'] }])),
): Transport {
  const made = new Transport(createConnections(policies, { connectMs: 500 }), {
    headMs: 1_000,
    silenceMs: 1200,
  });
  closing.push(() => made.close());
  return made;
}

function get(url: string | URL, more: Partial<RegistryRequest> = {}): RegistryRequest {
  const { signal } = new AbortController();
  const authenticator = noAuthentication;
  return {
    method: 'GET',
    url: new URL(url),
    headers: {},
    scopes,
    accept: [200],
    authenticator,
    signal,
    ...more,
  };
}

const endpointOf = (registry: FakeRegistry): { origin: string; tokenHosts: string[] } => ({
  origin: registry.origin,
  tokenHosts: [],
});

function redirect(response: ServerResponse, location: string): boolean {
  response.writeHead(307, { location }).end();
  return true;
}

describe('authentication', () => {
  const credential = { username: 'u', password: 'right' };

  it('asks for a token once, then sends it at once', async () => {
    const registry = await fake({ login: { kind: 'token' } });
    const client = transport();
    const authenticator = client.authenticator(endpointOf(registry));
    for (let times = 0; times < 3; times++)
      await client.send(get(`${registry.origin}/v2/`, { authenticator }));
    expect(registry.count('GET', '/token')).toBe(1);
    expect(registry.count('GET', '/v2/')).toBe(4);
    const asked = registry.requests.find(({ path }) => path === '/token');
    expect(asked?.query.getAll('scope')).toEqual(['repository:acme/app:pull']);
    expect(asked?.query.get('service')).toBe('fake');
  });

  it('shares what it learned between clients with the same credentials, and with no others', async () => {
    const registry = await fake({ login: { kind: 'token' } });
    const client = transport();
    const send = async (credentials: { username: string; password: string }[]): Promise<void> => {
      const authenticator = client.authenticator(endpointOf(registry), credentials);
      await client.send(get(`${registry.origin}/v2/`, { authenticator }));
    };
    await send([]);
    await send([]);
    expect(registry.count('GET', '/token')).toBe(1);
    await send([credential]);
    expect(registry.count('GET', '/token')).toBe(2);
  });

  it('gets a new token when the old one is refused', async () => {
    const registry = await fake({ login: { kind: 'token' } });
    const client = transport();
    const authenticator = client.authenticator(endpointOf(registry));
    await client.send(get(`${registry.origin}/v2/`, { authenticator }));
    registry.revokeTokens();
    await client.send(get(`${registry.origin}/v2/`, { authenticator }));
    expect(registry.count('GET', '/token')).toBe(2);
  });

  it.each(['basic', 'token'] as const)('tries credentials in turn (%s)', async (kind) => {
    const registry = await fake({ login: { kind, ...credential } });
    const client = transport();
    const wrong = { ...credential, password: 'wrong' };
    const authenticator = client.authenticator(endpointOf(registry), [wrong, wrong, credential]);
    expect((await client.send(get(`${registry.origin}/v2/`, { authenticator }))).status).toBe(200);
  });

  it.each([[[]], [[{ username: 'u', password: 'wrong' }]]])(
    'is Unauthorized when nothing helps (%j)',
    async (credentials) => {
      const registry = await fake({ login: { kind: 'basic', ...credential } });
      const client = transport();
      const authenticator = client.authenticator(endpointOf(registry), credentials);
      const sent = client.send(get(`${registry.origin}/v2/`, { authenticator }));
      await expect(sent).rejects.toMatchObject({ reason: 'Unauthorized', status: 401 });
    },
  );

  describe('with several credentials, of which only the second may read', () => {
    const first = { username: 'first', password: 'may-log-in' };
    const pair = (of: typeof first): string =>
      Buffer.from(`${of.username}:${of.password}`).toString('base64');

    it.each([401, 403, 404])('gets what is answered %d to the first', async (status) => {
      const registry = await fake();
      registry.intercept = (request, response) => {
        const { authorization } = request.headers;
        if (authorization === `Basic ${pair(credential)}`) return false;
        const refused = authorization === undefined ? 401 : status;
        response.writeHead(refused, refused === 401 ? { 'www-authenticate': 'Basic realm="x"' } : {}).end();
        return true;
      };
      const client = transport();
      const authenticator = client.authenticator(endpointOf(registry), [first, credential]);
      const send = async (): Promise<number> =>
        (await client.send(get(`${registry.origin}/v2/`, { authenticator }))).status;
      expect([await send(), await send()]).toEqual([200, 200]);
      expect(registry.requests).toHaveLength(4);
    });

    it('gets it also when only the first has been needed so far', async () => {
      const registry = await fake();
      let hidden = false;
      registry.intercept = (request, response) => {
        const { authorization } = request.headers;
        if (authorization === undefined)
          response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
        else if (hidden && authorization === `Basic ${pair(first)}`) response.writeHead(403).end();
        else return false;
        return true;
      };
      const client = transport();
      const authenticator = client.authenticator(endpointOf(registry), [first, credential]);
      const send = async (): Promise<number> =>
        (await client.send(get(`${registry.origin}/v2/`, { authenticator }))).status;
      expect(await send()).toBe(200);
      hidden = true;
      expect(await send()).toBe(200);
    });

    it('is told that something is not there by the one that could have seen it', async () => {
      const registry = await fake();
      registry.intercept = (request, response) => {
        const known = request.headers.authorization === `Basic ${pair(first)}`;
        response.writeHead(known ? 404 : 401, known ? {} : { 'www-authenticate': 'Basic realm="x"' }).end();
        return true;
      };
      const client = transport();
      const authenticator = client.authenticator(endpointOf(registry), [first, credential]);
      const sent = client.send(get(`${registry.origin}/v2/`, { authenticator }));
      await expect(sent).rejects.toMatchObject({ reason: 'NotFound' });
    });
  });

  it('shows a refresh token to the token server only', async () => {
    const registry = await fake({ login: { kind: 'token' } });
    const client = transport();
    const identity = { username: '', password: '', identityToken: 'refresh-me' };
    const authenticator = client.authenticator(endpointOf(registry), [identity]);
    let form = '';
    registry.intercept = async (request) => {
      if (request.method === 'POST') for await (const chunk of request) form += String(chunk);
      return false;
    };
    await client.send(get(`${registry.origin}/v2/`, { authenticator }));
    expect(Object.fromEntries(new URLSearchParams(form))).toMatchObject({
      grant_type: 'refresh_token',
      refresh_token: 'refresh-me',
      scope: 'repository:acme/app:pull',
    });
    expect(registry.requests.every(({ authorization }) => !authorization?.includes('refresh-me'))).toBe(true);
  });

  it.each([
    'http://collector.example/token',
    'https://127.0.0.2/token',
    'ftp://127.0.0.1/token',
    'nonsense',
    'https://user:pw@evil.example/',
  ])('sends nobody’s credentials to the realm %s', async (realm) => {
    const registry = await fake();
    registry.intercept = (_request, response) => {
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}"` }).end();
      return true;
    };
    const client = transport();
    const authenticator = client.authenticator(endpointOf(registry), [credential]);
    const sent = client.send(get(`${registry.origin}/v2/`, { authenticator }));
    await expect(sent).rejects.toMatchObject({ reason: 'Forbidden' });
  });

  it('tells a token server that talks nonsense from a refusal', async () => {
    const registry = await fake({ login: { kind: 'token' } });
    registry.intercept = (request, response) => {
      if (request.url?.startsWith('/token') !== true) return false;
      response.writeHead(200).end('{"token":"two words"}');
      return true;
    };
    const client = transport();
    const authenticator = client.authenticator(endpointOf(registry));
    const sent = client.send(get(`${registry.origin}/v2/`, { authenticator }));
    await expect(sent).rejects.toMatchObject({ reason: 'UpstreamError' });
  });
});

describe('redirects', () => {
  const credential = { username: 'u', password: 'right' };

  it('are followed without the credentials when they lead elsewhere', async () => {
    const [registry, storage] = [await fake({ login: { kind: 'basic', ...credential } }), await fake()];
    registry.intercept = (request, response) =>
      request.headers.authorization !== undefined &&
      redirect(response, `${storage.origin}/v2/?signature=s3cret`);
    const client = transport();
    const authenticator = client.authenticator(endpointOf(registry), [credential]);
    expect((await client.send(get(`${registry.origin}/v2/`, { authenticator }))).status).toBe(200);
    expect(storage.requests).toHaveLength(1);
    expect(storage.requests[0]?.authorization).toBeUndefined();
  });

  it('keep the credentials within the registry', async () => {
    const registry = await fake({ login: { kind: 'basic', ...credential } });
    registry.intercept = (request, response) => request.url === '/v2' && redirect(response, '/v2/');
    const client = transport();
    const authenticator = client.authenticator(endpointOf(registry), [credential]);
    expect((await client.send(get(`${registry.origin}/v2`, { authenticator }))).status).toBe(200);
  });

  it('tell nothing of what was signed when they fail, and do not blame the user for it', async () => {
    const [registry, storage] = [await fake(), await fake()];
    registry.intercept = (_request, response) => redirect(response, `${storage.origin}/x?signature=s3cret`);
    storage.intercept = (_request, response) => {
      response.writeHead(403).end();
      return true;
    };
    const error: unknown = await transport()
      .send(get(`${registry.origin}/v2/`))
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ reason: 'UpstreamError' });
    expect(inspect(error)).not.toContain('s3cret');
  });

  it.each([['/v2/'], ['ftp://127.0.0.1/'], ['http://['], ['//169.254.169.254/latest/meta-data/']])(
    'to %s do not go on for ever or anywhere',
    async (location) => {
      const registry = await fake();
      registry.intercept = (_request, response) => redirect(response, location);
      await expect(transport().send(get(`${registry.origin}/v2/`))).rejects.toMatchObject({
        reason: location.includes('169') ? 'Forbidden' : 'UpstreamError',
      });
      expect(registry.requests.length).toBeLessThanOrEqual(6);
    },
  );
});

describe('addresses', () => {
  it.each([
    'http://127.0.0.1:1/v2/',
    'http://localhost:1/v2/',
    'http://[::1]:1/v2/',
    'http://169.254.169.254/',
    'http://[::ffff:127.0.0.1]:1/',
  ])('of this machine or its cloud are not connected to: %s', async (url) => {
    await expect(transport(upstreamPolicies(fixed([]))).send(get(url))).rejects.toMatchObject({
      reason: 'Forbidden',
    });
  });

  it('are connected to when an administrator lists them', async () => {
    const registry = await fake();
    const policies = upstreamPolicies(fixed([{ host: registry.host, allowAddresses: ['127.0.0.1'] }]));
    expect((await transport(policies).send(get(`${registry.origin}/v2/`))).status).toBe(200);
  });
});

describe('failures', () => {
  it.each([
    [401, 'Unauthorized'],
    [403, 'Forbidden'],
    [404, 'NotFound'],
    [429, 'RateLimited'],
    [400, 'Invalid'],
    [500, 'UpstreamError'],
    [504, 'TimedOut'],
    [304, 'UpstreamError'],
  ])('with status %d are %s', async (status, reason) => {
    const registry = await fake();
    registry.intercept = (_request, response) => {
      response.writeHead(status, { 'retry-after': '7' }).end('<html>');
      return true;
    };
    const sent = transport().send(get(`${registry.origin}/v2/`));
    await expect(sent).rejects.toMatchObject({ reason, retryAfterSeconds: 7 });
  });

  it('say what the registry said, shortly and on one line', async () => {
    const registry = await fake();
    const message = `toomany\nrequests ${'x'.repeat(500)}`;
    registry.intercept = (_request, response) => {
      response.writeHead(403).end(JSON.stringify({ errors: [{ code: 'TOOMANYREQUESTS', message }] }));
      return true;
    };
    const error: unknown = await transport()
      .send(get(`${registry.origin}/v2/?token=s3cret`))
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'TOOMANYREQUESTS', reason: 'Forbidden' });
    expect((error as Error).message).toMatch(
      /^GET http:\/\/127.0.0.1:\d+\/v2\/ was answered 403: toomany requests x{183}$/,
    );
  });

  it('do not repeat what a registry repeats of the credentials that it was shown', async () => {
    const registry = await fake();
    const credential = { username: 'someone', password: 'p4ssw0rd' };
    registry.intercept = (request, response) => {
      const told = request.headers.authorization ?? '';
      const message = `${told} ${Buffer.from(told.slice(6), 'base64').toString()} http://u:pw@x/?sig=s3cret`;
      const body = JSON.stringify({ errors: [{ code: 'DENIED', message }] });
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end(body);
      return true;
    };
    const client = transport();
    const authenticator = client.authenticator(endpointOf(registry), [credential]);
    const error: unknown = await client
      .send(get(`${registry.origin}/v2/`, { authenticator }))
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ reason: 'Unauthorized' });
    const pair = Buffer.from('someone:p4ssw0rd').toString('base64');
    for (const secret of ['p4ssw0rd', pair, 'pw@', 's3cret']) expect(inspect(error)).not.toContain(secret);
    expect((error as Error).message).toContain('[redacted]');
  });

  it('do not wait for the end of an endless error', async () => {
    const registry = await fake();
    registry.intercept = (_request, response) => {
      response.writeHead(500);
      const write = (): void => {
        while (!response.destroyed && response.write('x'.repeat(16_384)));
        response.once('drain', write);
      };
      write();
      return true;
    };
    await expect(transport().send(get(`${registry.origin}/v2/`))).rejects.toMatchObject({
      reason: 'UpstreamError',
    });
  });

  it('are Unreachable when nobody listens', async () => {
    const registry = await FakeRegistry.start();
    const { origin } = registry;
    await registry.close();
    await expect(transport().send(get(`${origin}/v2/`))).rejects.toMatchObject({ reason: 'Unreachable' });
  });

  it('are TimedOut when the head does not come', async () => {
    const registry = await fake();
    registry.intercept = () => true;
    await expect(transport().send(get(`${registry.origin}/v2/`))).rejects.toMatchObject({
      reason: 'TimedOut',
    });
  });

  it('are in time also while a connection is being made, which to a black hole takes long', async () => {
    // The connection is neither made nor refused.
    const nowhere = new Agent({ connect: () => undefined });
    const connections = { ...createConnections(() => ({}), { connectMs: 500 }), dispatcher: nowhere };
    const made = new Transport(connections, { headMs: 200, silenceMs: 200 });
    const started = performance.now();
    await expect(made.send(get('http://192.0.2.1/v2/'))).rejects.toMatchObject({ reason: 'TimedOut' });
    const canceled = made.send(get('http://192.0.2.1/v2/', { signal: AbortSignal.timeout(20) }));
    await expect(canceled).rejects.toMatchObject({ reason: 'TimedOut' });
    expect(performance.now() - started).toBeLessThan(1_000);
  });

  it('break off a body that falls silent', async () => {
    const registry = await fake();
    registry.intercept = (_request, response) => {
      response.writeHead(200).write('some');
      return true;
    };
    const { body } = await transport().send(get(`${registry.origin}/v2/`));
    await expect(body.toArray()).rejects.toMatchObject({ code: 'UND_ERR_BODY_TIMEOUT' });
  });

  it('are Canceled when the caller leaves, before and during the answer', async () => {
    const registry = await fake();
    await expect(
      transport().send(get(`${registry.origin}/v2/`, { signal: AbortSignal.abort() })),
    ).rejects.toMatchObject({ reason: 'Canceled' });
    registry.intercept = () => true;
    const controller = new AbortController();
    const sent = transport().send(get(`${registry.origin}/v2/`, { signal: controller.signal }));
    controller.abort();
    await expect(sent).rejects.toMatchObject({ reason: 'Canceled' });
  });
});
