/** The tenancy table: what one namespace's credentials can read, no other namespace gets, however it asks. */
import { importPKCS8 } from 'jose';
import { signStoreToken, type StoreAccess } from '../../registry/transport/auth/store-login.ts';
import { REWRITTEN_LABEL } from '../../api/names.ts';
import { hideCapabilities } from '../../platform/redact.ts';
import { decodeCachedName, type TenantName } from '../../registry/core/cached-name.ts';
import {
  type CapabilityKey,
  makeCapability,
  parseCapabilityKeys,
  signingKey,
} from '../../registry/core/capability.ts';
import { HostileSite } from '../hostile/site.ts';
import { NAMESPACE, RELEASE } from '../larder/install.ts';
import { nodeFetch } from '../larder/node-fetch.ts';
import { proxyFetch } from '../larder/proxy-fetch.ts';
import { CACHED_IMAGES } from '../larder/preheat.ts';
import { sharedCluster } from '../larder/shared-cluster.ts';
import { MembersSite, type MemberImage } from '../members/site.ts';
import {
  type Outcome,
  type PodRequest,
  makeNamespaces,
  namespace,
  outcome,
  pod,
  pullSecret,
  serviceAccount,
  start,
} from '../members/teams.ts';
import type { Members } from '../members/token-server.ts';

const [TEAM_A, TEAM_B, OUTSIDE, FORMER] = ['tenancy-a', 'tenancy-b', 'tenancy-outside', 'tenancy-former'];
const NO_DOOR = [401, 403, 404];
/** A pod has to be scheduled, pulled and started in it. */
const POD_MS = 60_000;
const cluster = sharedCluster();
const [first, second] = [cluster.node(1), cluster.node(2)];

const members: Members = {
  anonymous: { password: '', reads: ['open/'] },
  'reader-a': { password: 'password of a', reads: ['team-a/'] },
  'reader-b': { password: 'password of b', reads: ['team-b/'] },
  browser: { password: 'never used', identityToken: 'identity-of-browser', reads: ['team-a/'] },
  nobody: { password: 'may log in', reads: [] },
  rotated: { password: 'before', reads: ['team-a/rotated'] },
};

let site: MembersSite;
let app: MemberImage;
let open: MemberImage;
let keys: readonly CapabilityKey[];

/** A path below `/v2/` of an image of the members' registry, as store and copier know it. */
function path(repository: string, rest: string, tenant?: string): string {
  const prefix = tenant === undefined ? '' : `${tenant}.tenant/`;
  return `/v2/${prefix}${site.host.replace(':', '-')}/${repository}/${rest}`;
}

/** The same as a Pod of the tenant asks a proxy for it: with the capability that admission would write. */
function capablePath(repository: string, rest: string, tenant: string): string {
  const capability = capabilityOf({ tenant, host: site.host, repository });
  return path(repository, rest, tenant).replace('.tenant/', `.tenant.${capability}/`);
}

function capabilityOf(name: TenantName): string {
  const key = signingKey(keys, Date.now());
  if (key === undefined) throw new Error('the release has no key that signs');
  return makeCapability(name, key);
}

async function readCapabilityKeys(): Promise<readonly CapabilityKey[]> {
  const where = { namespace: NAMESPACE, name: `${RELEASE}-capability-keys` };
  const { data } = await cluster.read<{ data: { keys: string } }>('v1/secrets', where);
  return parseCapabilityKeys(Buffer.from(data.keys, 'base64').toString());
}

function auth(username: string, password = members[username]?.password): Record<string, object> {
  return { [site.host]: { username, password } };
}

beforeAll(async () => {
  site = await MembersSite.start(cluster, members);
  keys = await readCapabilityKeys();
  await makeNamespaces(cluster, [namespace(TEAM_A), namespace(TEAM_B), namespace(OUTSIDE, false)]);
  await cluster.apply([
    pullSecret('own', TEAM_A, auth('reader-a')),
    pullSecret('wrong', TEAM_A, auth('reader-a', 'no longer')),
    pullSecret('useless', TEAM_A, auth('nobody')),
    pullSecret('browser', TEAM_A, { [site.host]: { identitytoken: 'identity-of-browser' } }),
    pullSecret('rotated', TEAM_A, auth('rotated')),
    pullSecret('deleted', TEAM_A, auth('reader-a')),
    pullSecret('own', TEAM_B, auth('reader-b')),
    serviceAccount('with-secret', TEAM_A, ['own']),
  ]);
  [app, open] = await Promise.all([site.push('team-a/app', '1'), site.push('open/app', '1')]);
}, POD_MS);

afterAll(async () => {
  await cluster.kubectl(['delete', 'namespace', TEAM_A, TEAM_B, OUTSIDE, FORMER, '--wait=false']);
});

type PodRow = Omit<PodRequest, 'image'>;

/** A table of pods that start side by side; each row's test waits for its own. */
function podTable(
  where: Pick<PodRow, 'namespace' | 'node'>,
  titled: Readonly<Record<string, Omit<PodRow, 'namespace' | 'node'>>>,
  imageOf: (row: PodRow) => string | Promise<string>,
  check: (found: Outcome, row: PodRow) => void,
): void {
  const rows = Object.entries(titled).map(([title, row]): [string, PodRow] => [title, { ...where, ...row }]);

  beforeAll(async () => {
    const pods = rows.map(async ([, row]) => pod({ ...row, image: await imageOf(row) }));
    await cluster.apply(await Promise.all(pods));
  }, POD_MS);

  it.each(rows)(
    '%s',
    async (_, row) => {
      check(await outcome(cluster, row.namespace, row.name), row);
    },
    POD_MS,
  );
}

describe('a pod of team-a gets an image that nobody has cached', () => {
  podTable(
    { namespace: TEAM_A },
    {
      'with the secret that it names': { name: 'named', pullSecrets: ['own'] },
      'with the secret of its ServiceAccount': { name: 'account', serviceAccount: 'with-secret' },
      'with the last of several credentials for one host': {
        name: 'several',
        pullSecrets: ['wrong', 'useless', 'own'],
      },
      'with an identity token in the place of a password': { name: 'browser', pullSecrets: ['browser'] },
    },
    async ({ name }) => (await site.push(`team-a/${name}`, '1')).reference,
    ({ running, image, message }, { name }) => {
      expect({ running, message }).toEqual({ running: true, message: '' });
      expect(hideCapabilities(image)).toContain(`localhost:7439/${TEAM_A}.tenant/`);
      expect(site.askedFor(`team-a/${name}`)).toContain(name === 'browser' ? 'browser' : 'reader-a');
    },
  );
});

describe('what only team-a’s credentials can read', () => {
  const theirs = (): string => path('team-a/app', '', TEAM_A).slice('/v2/'.length, -1);

  beforeAll(async () => {
    const request = { name: 'app', namespace: TEAM_A, image: app.reference, pullSecrets: ['own'] };
    expect(await start(cluster, { ...request, node: second.name })).toMatchObject({ running: true });
    // It is there, for whoever may name it: every refusal below is one.
    for (const rest of [`manifests/${app.digest}`, `blobs/${app.layer}`])
      expect((await proxyFetch(second, capablePath('team-a/app', rest, TEAM_A))).status).toBe(200);
  }, POD_MS);

  podTable(
    { namespace: TEAM_B, node: second.name },
    {
      'a pod of team-b does not get without a secret': { name: 'bare' },
      'a pod of team-b does not get with its own secret': { name: 'own', pullSecrets: ['own'] },
      'a pod of team-b does not get by naming a secret of team-a': { name: 'same', pullSecrets: ['deleted'] },
      'a pod of team-b does not get by naming team-a’s path, which admission takes back': {
        name: 'namer',
        pullSecrets: ['own'],
      },
    },
    ({ name }) => (name === 'namer' ? `localhost:7439/${theirs()}:1` : app.reference),
    ({ running, image, message }, { pullSecrets }) => {
      expect(running).toBe(false);
      expect(message).toMatch(/401|403|404|unauthorized|denied|not found/i);
      const tenant = pullSecrets === undefined ? '' : `${TEAM_B}.tenant/`;
      expect(hideCapabilities(image)).toContain(`localhost:7439/${tenant}${site.host.replace(':', '-')}/`);
    },
  );

  it.each(['localhost', '127.0.0.1', '[::1]'])(
    'a pod outside Larder’s admission does not get by naming it at %s: the API server refuses',
    async (host) => {
      const image = `${host}:7439/${theirs()}:1`;
      await expect(cluster.apply(pod({ name: 'outsider', namespace: OUTSIDE, image }))).rejects.toThrow(
        'images of another namespace may not be named here',
      );
    },
  );

  it.each([
    ['its manifest under the public name', () => path('team-a/app', `manifests/${app.digest}`)],
    ['its tag under the public name', () => path('team-a/app', 'manifests/1')],
    ['its layer under the public name', () => path('team-a/app', `blobs/${app.layer}`)],
    ['its layer under team-b’s name', () => capablePath('team-a/app', `blobs/${app.layer}`, TEAM_B)],
    ['its layer in a public repository that is cached', () => path('open/app', `blobs/${app.layer}`)],
    ['its manifest in a public repository that is cached', () => path('open/app', `manifests/${app.digest}`)],
    [
      'its layer in a repository that team-b may read',
      () => capablePath('team-b/app', `blobs/${app.layer}`, TEAM_B),
    ],
  ])('nobody gets by guessing a digest: %s', async (_, guess) => {
    expect((await proxyFetch(second, path('open/app', `manifests/${open.digest}`))).status).toBe(200);
    expect(NO_DOOR).toContain((await proxyFetch(second, guess())).status);
  });
});

it(
  'nobody gets by a registry of its own whose manifest names it, although layers are shared where they may be',
  async () => {
    const hostile = await HostileSite.of(cluster);
    const thief = `${hostile.host(33).replace(':', '-')}/thief/${app.layer.replace('sha256:', '')}`;
    const { host, repository } = decodeCachedName(thief);
    const capability = capabilityOf({ tenant: TEAM_B, host, repository });
    for (const name of [thief, `${TEAM_B}.tenant.${capability}/${thief}`]) {
      // Fetched by its own right, so that what it names could be linked.
      expect((await proxyFetch(second, `/v2/${name}/manifests/v1`)).status).toBe(200);
      expect(NO_DOOR).toContain((await proxyFetch(second, `/v2/${name}/blobs/${app.layer}`)).status);
    }
    const theirs = capablePath('team-a/app', `blobs/${app.layer}`, TEAM_A);
    expect((await proxyFetch(second, theirs, { method: 'HEAD' })).status).toBe(200);
  },
  POD_MS,
);

it(
  'a pod that was admitted before names carried capabilities gets a new one, and runs',
  async () => {
    // Where admission does not look, a pod keeps the name and the label that an older release gave it.
    await makeNamespaces(cluster, [namespace(FORMER, false)]);
    await cluster.apply(pullSecret('own', FORMER, auth('reader-a')));
    const former = `localhost:7439/${path('team-a/app', '', FORMER).slice('/v2/'.length, -1)}:1`;
    const made = pod({ name: 'former', namespace: FORMER, image: former, pullSecrets: ['own'] }) as {
      metadata: object;
    };
    const metadata = { ...made.metadata, labels: { [REWRITTEN_LABEL]: 'true' } };
    await cluster.apply({ ...made, metadata });
    const rescued = await cluster.waitFor(
      'the pod runs under its new name',
      async () => {
        const now = await outcome(cluster, FORMER, 'former');
        return now.running ? now : undefined;
      },
      { deadlineMs: POD_MS },
    );
    expect(rescued.image).not.toBe(former);
    expect(hideCapabilities(rescued.image)).toBe(former);
  },
  2 * POD_MS,
);

describe('what sends somebody who is root on the node to its proxy', () => {
  const lure = async (name: string, repository: string): Promise<Outcome> => {
    const hostile = await HostileSite.of(cluster);
    const image = `${hostile.host(0)}/lure/${repository}:1`;
    await hostile.arm();
    try {
      return await start(cluster, { name, namespace: OUTSIDE, image, node: second.name });
    } finally {
      await hostile.disarm();
    }
  };
  const repositoryIn = (found: string): string => found.slice('/v2/'.length, -1);

  it(
    'may be a redirect, which runtimes follow: to what is everybody’s',
    async () => {
      expect((await proxyFetch(second, path('open/app', 'manifests/1'))).status).toBe(200);
      expect(await lure('lured', repositoryIn(path('open/app', '')))).toMatchObject({ running: true });
    },
    POD_MS,
  );

  it.each([
    ['no capability', () => path('team-a/app', '', TEAM_A)],
    [
      'a capability for another namespace',
      () => capablePath('team-a/app', '', TEAM_B).replace(TEAM_B, TEAM_A),
    ],
    [
      'a capability for another repository',
      () => capablePath('team-a/other', '', TEAM_A).replace('other', 'app'),
    ],
  ])(
    'may be a redirect: a name of team-a with %s gives nothing',
    async (what, name) => {
      const { running, message } = await lure(`lured-${what.length}`, repositoryIn(name()));
      expect({ running, message }).toMatchObject({
        running: false,
        message: expect.stringContaining('403') as string,
      });
    },
    POD_MS,
  );

  it(
    'may be a probe of the kubelet: it is refused like everybody',
    async () => {
      const readinessProbe = {
        httpGet: { host: '127.0.0.1', port: 7439, path: path('team-a/app', 'manifests/1', TEAM_A) },
        periodSeconds: 1,
      };
      const spied = pod({ name: 'spy', namespace: OUTSIDE, image: open.reference }) as {
        spec: { containers: object[] };
      };
      await cluster.apply({
        ...spied,
        spec: {
          ...spied.spec,
          containers: spied.spec.containers.map((container) => ({ ...container, readinessProbe })),
        },
      });
      const { stdout } = await cluster.waitFor(
        'the kubelet tells of the probe',
        async () => {
          const found = await cluster.kubectl([
            'get',
            'events',
            '--namespace',
            OUTSIDE,
            '--output=jsonpath={.items[*].message}',
          ]);
          return found.stdout.includes('Readiness probe failed') ? found : undefined;
        },
        { deadlineMs: POD_MS },
      );
      expect(stdout).toContain('HTTP probe failed with statuscode: 403');
    },
    POD_MS,
  );
});

describe('the doors', () => {
  it.each(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])('of the proxy: %s is refused', async (method) => {
    const answer = await proxyFetch(first, capablePath('team-a/app', `manifests/${app.digest}`, TEAM_A), {
      method,
    });
    expect({ status: answer.status, allow: answer.headers['allow'] }).toEqual({
      status: 405,
      allow: 'GET, HEAD',
    });
  });

  it('of the proxy: from elsewhere than the node itself there is none', async () => {
    const answer = await nodeFetch(first, `http://${second.address}:7439/v2/`);
    expect(answer).toMatchObject({ status: 0, body: 'ECONNREFUSED' });
  });

  it('of the proxy: a process on the node that is not root gets nothing of team-a’s', async () => {
    const url = `http://127.0.0.1:7439${capablePath('team-a/app', `manifests/${app.digest}`, TEAM_A)}`;
    expect((await nodeFetch(first, url)).status).toBe(200);
    expect(await nodeFetch(first, url, { user: 65532 })).toMatchObject({
      status: 403,
      body: expect.stringContaining('DENIED') as string,
    });
  });

  it('of the webhook: whoever is not the API server gets no name of a private image', async () => {
    const review = {
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      request: {
        uid: 'forged',
        operation: 'CREATE',
        resource: { group: '', version: 'v1', resource: 'pods' },
        namespace: TEAM_A,
        object: {
          spec: {
            imagePullSecrets: [{ name: 'own' }],
            containers: [
              { name: 'private', image: app.reference },
              { name: 'public', image: 'registry.k8s.io/pause:3' },
            ],
          },
        },
      },
    };
    const url = `https://${await serviceAddress('webhook')}/mutate`;
    const headers = { 'content-type': 'application/json' };
    const answer = await nodeFetch(first, url, { method: 'POST', headers, body: JSON.stringify(review) });
    expect(answer.status).toBe(200);
    const { response } = JSON.parse(answer.body) as { response: { patch?: string } };
    const patch = Buffer.from(response.patch ?? '', 'base64').toString();
    // It does answer: what is everybody's goes through the cache.
    expect(patch).toContain('localhost:7439/registry.k8s.io/pause:3');
    expect(patch).not.toContain('.tenant');
  });

  describe('of the copier', () => {
    const token = async (account: string, where: string, audience: string): Promise<string> =>
      (
        await cluster.kubectl(['create', 'token', account, '--namespace', where, '--audience', audience])
      ).stdout.trim();

    async function ask(bearer: string | undefined, order = false): Promise<number> {
      const url = `https://${await serviceAddress('copier')}:7441`;
      const headers = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
      const pull = path('team-a/app', `manifests/${app.digest}`, TEAM_A);
      const body = JSON.stringify({ image: app.reference, tenant: TEAM_A });
      const answer = order
        ? await nodeFetch(first, `${url}/larder/v1/delete`, { method: 'POST', headers, body })
        : await nodeFetch(first, url + pull, { headers });
      return answer.status;
    }

    it('opens to the proxies, and not for orders', async () => {
      const bearer = await token(`${RELEASE}-proxy`, NAMESPACE, 'larder-copier');
      // The replica that was asked may know that the other one has it.
      expect([200, 307]).toContain(await ask(bearer));
      expect(await ask(bearer, true)).toBe(403);
    });

    it.each([
      ['nobody', () => Promise.resolve(undefined), 401],
      ['a token that is none', () => Promise.resolve('x.y.z'), 401],
      ['another ServiceAccount’s token', () => token('default', TEAM_B, 'larder-copier'), 403],
      ['a proxy’s token for another audience', () => token(`${RELEASE}-proxy`, NAMESPACE, 'other'), 401],
    ])('stays shut to %s', async (_, bearer, status) => {
      expect([await ask(await bearer()), await ask(await bearer(), true)]).toEqual([status, status]);
    });
  });

  describe('of the store', () => {
    const repository = (): string => path('team-a/app', '', TEAM_A).slice('/v2/'.length, -1);

    async function ask(
      port: number,
      request: { method: string; rest: string; access?: StoreAccess[] },
    ): Promise<number> {
      const { method, rest, access } = request;
      const headers = access === undefined ? {} : { authorization: `Bearer ${await readerToken(access)}` };
      const url = `http://${await serviceAddress('store')}:${port}/v2/${repository()}/${rest}`;
      return (await nodeFetch(first, url, { method, headers })).status;
    }

    /** A token that the reader's login signs, whatever it asks for. */
    async function readerToken(access: StoreAccess[]): Promise<string> {
      const where = { namespace: NAMESPACE, name: `${RELEASE}-store-reader` };
      const { data } = await cluster.read<{ data: Record<string, string> }>('v1/secrets', where);
      const read = (name: string): string =>
        Buffer.from(data[name] ?? '', 'base64')
          .toString('utf8')
          .trim();
      const key = await importPKCS8(read('private-key.pem'), 'ES256');
      return signStoreToken({ kind: 'key', key, keyId: read('key-id') }, access);
    }

    it.each([
      ['reader', 5000],
      ['writer', 5001],
    ])('the %s is shut to whoever shows nothing', async (_, port) => {
      expect(await ask(port, { method: 'GET', rest: `manifests/${app.digest}` })).toBe(401);
      expect(await ask(port, { method: 'POST', rest: 'blobs/uploads/' })).toBe(401);
    });

    it('the reader opens for one repository at a time', async () => {
      const may = (name: string): StoreAccess[] => [{ type: 'repository', name, actions: ['pull'] }];
      const rest = `blobs/${app.layer}`;
      expect(await ask(5000, { method: 'HEAD', rest, access: may(repository()) })).toBe(200);
      expect(await ask(5000, { method: 'HEAD', rest, access: may('another') })).toBe(401);
    });

    it('the reader’s login writes nowhere', async () => {
      const access = [{ type: 'repository', name: repository(), actions: ['pull', 'push', 'delete'] }];
      const writes = { upload: 'blobs/uploads/', manifest: `manifests/${app.digest}` };
      expect(await ask(5001, { method: 'POST', rest: writes.upload, access })).toBe(401);
      expect(await ask(5001, { method: 'DELETE', rest: writes.manifest, access })).toBe(401);
      expect(await ask(5000, { method: 'POST', rest: writes.upload, access })).toBe(405);
      expect(await ask(5000, { method: 'DELETE', rest: writes.manifest, access })).toBe(405);
    });
  });

  it('of the Kubernetes API: a node’s proxy may read no Secret', async () => {
    const resourceAttributes = { namespace: TEAM_A, verb: 'get', resource: 'secrets' };
    const review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: { user: `system:serviceaccount:${NAMESPACE}:${RELEASE}-proxy`, resourceAttributes },
    };
    const create = ['create', '--output=json', '-f', '-'];
    const { stdout } = await cluster.kubectl(create, { stdin: JSON.stringify(review) });
    expect(JSON.parse(stdout)).toMatchObject({ status: { allowed: false } });
  });
});

async function serviceAddress(part: string): Promise<string> {
  const where = { namespace: NAMESPACE, name: `${RELEASE}-${part}` };
  return (await cluster.read<{ spec: { clusterIP: string } }>('v1/services', where)).spec.clusterIP;
}

describe('secrets that change', () => {
  it(
    'a rotated one works at once',
    async () => {
      const [before, after] = [
        await site.push('team-a/rotated-1', '1'),
        await site.push('team-a/rotated-2', '1'),
      ];
      const request = { namespace: TEAM_A, pullSecrets: ['rotated'] };
      const one = { name: 'rotated-1', image: before.reference, ...request };
      expect(await start(cluster, one)).toMatchObject({ running: true });
      site.rewrite({ ...members, rotated: { password: 'after', reads: ['team-a/rotated'] } });
      await cluster.apply(pullSecret('rotated', TEAM_A, auth('rotated', 'after')));
      const two = { name: 'rotated-2', image: after.reference, ...request };
      expect(await start(cluster, two)).toMatchObject({ running: true });
      expect(await failures('rotated-2')).toEqual([]);
    },
    POD_MS,
  );

  it(
    'a deleted one does not break what is cached, on a node that never had it',
    async () => {
      const { reference } = await site.push('team-a/kept', '1');
      const request = { namespace: TEAM_A, image: reference, pullSecrets: ['deleted'] };
      expect(await start(cluster, { name: 'kept-1', node: first.name, ...request })).toMatchObject({
        running: true,
      });
      await cluster.waitFor('it is cached', () => isReady(reference), { deadlineMs: 30_000 });
      await cluster.kubectl(['delete', 'secret', 'deleted', '--namespace', TEAM_A]);
      expect(await start(cluster, { name: 'kept-2', node: second.name, ...request })).toMatchObject({
        running: true,
      });
      expect(await failures('kept-2')).toEqual([]);
    },
    POD_MS,
  );

  async function isReady(image: string): Promise<boolean> {
    type View = { spec: { image: string }; status?: { conditions?: { type: string; status: string }[] } };
    const { items } = await cluster.read<{ items: View[] }>(CACHED_IMAGES);
    const found = items.find(({ spec }) => spec.image === image)?.status?.conditions ?? [];
    return found.some(({ type, status }) => type === 'Ready' && status === 'True');
  }

  async function failures(name: string): Promise<string[]> {
    const where = { namespace: TEAM_A, fields: `involvedObject.name=${name},reason=Failed` };
    const { items } = await cluster.read<{ items: { message: string }[] }>('v1/events', where);
    return items.map(({ message }) => message);
  }
});

describe('secrets are matched as the kubelet matches them', () => {
  const KUBELET = 'tenancy-kubelet';
  const LARDER = 'tenancy-larder';

  /** Everybody may log in and nobody may read, so that one after the other is tried. */
  beforeAll(async () => {
    const users = ['host', 'deep', 'letters', 'glob', 'star', 'portless', 'scheme', 'parts', 'other', 'old'];
    const all = Object.fromEntries(users.map((user) => [user, { password: user, reads: [] }]));
    site.rewrite({ ...members, ...all });
    const [address = '', port = ''] = site.host.split(':');
    const [a = '', b = '', , d = ''] = address.split('.');
    const entry = (user: string): { username: string; password: string } => ({
      username: user,
      password: user,
    });
    const auths = {
      [site.host]: entry('host'),
      [`${site.host}/match/deep`]: entry('deep'),
      [`${site.host}/mat`]: entry('letters'),
      [`${a}.${b}.*.${d}:${port}`]: entry('glob'),
      [`*.*.*.*:${port}/match`]: entry('star'),
      [address]: entry('portless'),
      [`http://${site.host}/v2/match/`]: entry('scheme'),
      [`*:${port}`]: entry('parts'),
      'registry.example.test': entry('other'),
    };
    await makeNamespaces(cluster, [namespace(KUBELET, false), namespace(LARDER)]);
    await cluster.apply(
      [KUBELET, LARDER].flatMap((where) => [
        pullSecret('one', where, auths),
        pullSecret('another', where, { [site.host]: entry('old') }, 'dockercfg'),
      ]),
    );
    const pods = [KUBELET, LARDER].flatMap((where) =>
      ['match/deep', 'match/shallow', 'other'].map((repository) =>
        pod({
          name: repository.replace('/', '-'),
          namespace: where,
          image: `${site.host}/${repository}/${where}:1`,
          pullSecrets: ['another', 'one'],
        }),
      ),
    );
    await cluster.apply(pods);
  }, POD_MS);

  afterAll(async () => {
    await cluster.kubectl(['delete', 'namespace', KUBELET, LARDER, '--wait=false']);
  });

  it.each(['match/deep', 'match/shallow', 'other'])(
    'for %s',
    async (repository) => {
      const tried = async (where: string): Promise<unknown[]> => {
        expect((await outcome(cluster, where, repository.replace('/', '-'))).running).toBe(false);
        return [...new Set(site.askedFor(`${repository}/${where}`))];
      };
      const [kubelet, larder] = [await tried(KUBELET), await tried(LARDER)];
      expect(kubelet.length).toBeGreaterThan(2);
      expect(larder).toEqual(kubelet);
    },
    POD_MS,
  );
});
