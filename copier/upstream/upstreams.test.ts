import { FakeRegistry } from '../../test/fakes/registry.ts';
import { testImage } from '../../test/fakes/images.ts';
import type { Credential } from '../../registry/core/credentials.ts';
import { upstreamPolicies } from '../../registry/transport/http/connection-policy.ts';
import { createConnections } from '../../registry/transport/http/connector.ts';
import { Pace } from '../../registry/transport/pace.ts';
import { Transport } from '../../registry/transport/transport.ts';
import type { UpstreamSettings } from '../../registry/transport/settings/upstream-settings.ts';
import { CircuitBreaker } from '../../platform/circuit-breaker.ts';
import { HostLimiter } from './host-limiter.ts';
import type { Login } from './keyring.ts';
import { Outages } from './outages.ts';
import { Upstreams } from './upstreams.ts';

const HOST = 'registry.example';
const right: Credential = { username: 'u', password: 'right' };
const wrong: Credential = { username: 'u', password: 'wrong' };
const image = testImage(['a layer']);
const signal = AbortSignal.timeout(60_000);
let registries: FakeRegistry[];
let transport: Transport;

async function registry(password?: string): Promise<FakeRegistry> {
  const login = { kind: 'basic' as const, username: 'u', password: password ?? '' };
  const made = await FakeRegistry.start(password === undefined ? {} : { login });
  registries.push(made);
  return made;
}

beforeEach(() => {
  registries = [];
  const connections = createConnections(
    upstreamPolicies({ get: () => [{ host: '127.0.0.1:*', allowAddresses: ['127.0.0.0/8'] }] }),
    { connectMs: 500 },
  );
  transport = new Transport(connections, { headMs: 1_000, silenceMs: 1_000 });
});

afterEach(async () => {
  await transport.close();
  await Promise.all(registries.map((each) => each.close()));
});

/** @param credentials by host */
function login(credentials: Record<string, Credential>, renewed?: Login): Login {
  return {
    credentials: (host) => (credentials[host] ? [credentials[host]] : []),
    renew: () => Promise.resolve(renewed),
  };
}

async function fetchFrom(
  endpoints: FakeRegistry[],
  as: Login,
  settings: Partial<UpstreamSettings> = {},
): Promise<unknown> {
  const all = [{ host: HOST, endpoints: endpoints.map(({ origin }) => origin), ...settings }];
  const now = (): number => performance.now();
  const pace = new Pace({ defaultPauseMs: 1_000, maxPauseMs: 1_000, now });
  const breaker = new CircuitBreaker({
    failureThreshold: 2,
    openMs: 1_000,
    maxOpenMs: 1_000,
    probeMs: 1_000,
  });
  const upstreams = new Upstreams({
    transport,
    upstreamSettings: { get: () => all },
    keyring: { login: () => Promise.resolve(as) },
    pace,
    limiter: new HostLimiter(4),
    outages: new Outages({ breaker, now }),
  });
  const upstream = await upstreams.open(
    { tenant: 'team-a', host: HOST, repository: 'acme/app' },
    '1',
    signal,
  );
  return upstream.getManifest({ tag: '1' }, signal);
}

it('a credential that has been rotated works at once', async () => {
  const origin = await registry('right');
  origin.repository('acme/app').add(image, '1');
  const renewed = login({ [origin.host]: right });
  const stored = await fetchFrom([origin], login({ [origin.host]: wrong }, renewed));
  expect(stored).toMatchObject({ digest: image.root.digest });
});

it('alternative endpoints are asked in order, each with its own credentials only', async () => {
  const [mirror, origin] = [await registry(), await registry('right')];
  origin.repository('acme/app').add(image, '1');
  const as = login({ [HOST]: wrong, [origin.host]: right });
  await expect(fetchFrom([mirror, origin], as)).resolves.toBeDefined();
  expect(mirror.requests.map(({ authorization }) => authorization)).toEqual([undefined]);
});

it('alternative endpoints get the credentials of the registry when an administrator says so', async () => {
  const other = await registry('right');
  other.repository('acme/app').add(image, '1');
  const as = login({ [HOST]: right });
  await expect(fetchFrom([other], as)).rejects.toMatchObject({ reason: 'Unauthorized' });
  await expect(fetchFrom([other], as, { shareCredentials: true })).resolves.toBeDefined();
});
