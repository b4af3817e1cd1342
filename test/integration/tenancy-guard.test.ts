/** The chart's ValidatingAdmissionPolicy on a real API server: no Pod names another namespace's images. */
import { KubeClient } from '../../platform/kube/client.ts';
import { namespaces, pods, type KubeObject, type Pod, type Resource } from '../../platform/kube/resource.ts';
import { waitFor } from '../cluster/wait.ts';
import { ApiServer } from '../envtest/api-server.ts';
import { render } from '../larder/render.ts';

type PodSpec = NonNullable<Pod['spec']>;

const OWN = 'team-b';
const FOREIGN = 'localhost:7439/team-a.tenant/ghcr.io/acme/app:7';
const CAPABILITY = '0'.repeat(26);
const DENIED = 'images of another namespace may not be named here';
let api: ApiServer;
let client: KubeClient;
let serial = 0;

beforeAll(async () => {
  api = await ApiServer.start();
  client = new KubeClient(api.connect(), 'larder-test');
  await client.create(namespaces, { metadata: { name: OWN } });
  await create('before', { containers: [{ name: 'app', image: FOREIGN }] });
  for (const object of await guard()) await client.create(resourceOf(object), object);
  await waitFor(
    'the policy to be in force',
    () =>
      create('probe', { containers: [{ name: 'app', image: FOREIGN }] }).then(
        () => false,
        () => true,
      ),
    { deadlineMs: 30_000 },
  );
}, 900_000); // the programs may have to be built first

afterAll(() => api.stop());

/** The policy and its binding as helm renders them. */
async function guard(): Promise<(KubeObject & { kind: string })[]> {
  const objects = await render<KubeObject & { kind: string }>();
  return objects.filter(({ kind }) => kind.startsWith('ValidatingAdmissionPolicy'));
}

function resourceOf({ kind }: { kind: string }): Resource<KubeObject> {
  const plural = kind === 'ValidatingAdmissionPolicy' ? `${kind.slice(0, -1)}ies` : `${kind}s`;
  return {
    group: 'admissionregistration.k8s.io',
    version: 'v1',
    kind,
    plural: plural.toLowerCase(),
    namespaced: false,
    decode: (raw) => raw as KubeObject,
  };
}

function create(name: string, spec: PodSpec, namespace = OWN): Promise<Pod> {
  return client.create(pods, {
    metadata: { name: name === 'before' ? name : `${name}-${serial++}`, namespace },
    spec,
  });
}

const app = { name: 'app', image: 'nginx' };

describe('a pod that names another namespace’s images is refused', () => {
  it.each<[string, PodSpec]>([
    ['in a container', { containers: [app, { name: 'other', image: FOREIGN }] }],
    ['in an init container', { containers: [app], initContainers: [{ name: 'init', image: FOREIGN }] }],
    ['in a volume', { containers: [app], volumes: [{ name: 'models', image: { reference: FOREIGN } }] }],
  ])('%s', async (_, spec) => {
    await expect(create('foreign', spec)).rejects.toThrow(`${DENIED}: ${FOREIGN}`);
  });

  it.each([
    '127.0.0.1:7439/team-a.tenant/ghcr.io/acme/app:7',
    '127.9.9.9:7439/team-a.tenant/ghcr.io/acme/app:7',
    '[::1]:7439/team-a.tenant/ghcr.io/acme/app:7',
    'LOCALHOST:7439/team-a.tenant/ghcr.io/acme/app:7',
    'ip6-localhost:7439/team-a.tenant/ghcr.io/acme/app:7',
    `localhost:7439/team-a.tenant/ghcr.io/acme/app@sha256:${'0'.repeat(64)}`,
    'localhost:07439/team-a.tenant/ghcr.io/acme/app:7',
    'localhost/team-a.tenant/ghcr.io/acme/app:7',
    'any.example:5000/team-a.tenant/ghcr.io/acme/app:7',
    `localhost:7439/team-a.tenant.${CAPABILITY}/ghcr.io/acme/app:7`,
    'localhost:7439/team-b-and-more.tenant/ghcr.io/acme/app:7',
    'localhost:7439/team-b.tenant.tenant/ghcr.io/acme/app:7',
  ])('by whatever name: %s', async (image) => {
    await expect(create('alias', { containers: [{ name: 'app', image }] })).rejects.toThrow(DENIED);
  });

  it('in an ephemeral container', async () => {
    const { metadata } = await create('debugged', { containers: [app] });
    const ref = { name: metadata?.name ?? '', namespace: OWN };
    const body = { spec: { ephemeralContainers: [{ name: 'debug', image: FOREIGN }] } };
    const added = client.patch(pods, ref, { type: 'merge', body }, { subresource: 'ephemeralcontainers' });
    await expect(added).rejects.toThrow(DENIED);
  });

  it('when its image is changed later', async () => {
    const { metadata } = await create('changed', { containers: [app] });
    const ref = { name: metadata?.name ?? '', namespace: OWN };
    const body = [{ op: 'replace', path: '/spec/containers/0/image', value: FOREIGN }];
    await expect(client.patch(pods, ref, { type: 'json', body })).rejects.toThrow(DENIED);
  });

  it('in any namespace, also where nothing of Larder’s admission is called', async () => {
    const created = create('system', { containers: [{ name: 'app', image: FOREIGN }] }, 'kube-system');
    await expect(created).rejects.toThrow(DENIED);
  });
});

describe('other pods are left alone', () => {
  it.each([
    ['its own namespace’s', 'localhost:7439/team-b.tenant/ghcr.io/acme/app:7'],
    ['public ones', 'localhost:7439/docker.io/library/nginx:1'],
    [
      'its own namespace’s, as admission writes them',
      `localhost:7439/team-b.tenant.${CAPABILITY}/ghcr.io/acme/app:7`,
    ],
    ['a repository that only looks alike', 'registry.example:5000/team-a.tenants/app:7'],
    ['a path like it further down', 'localhost:7439/ghcr.io/team-a.tenant/app:7'],
    ['what is no reference', '-- no image --'],
  ])('%s', async (_, image) => {
    await expect(create('allowed', { containers: [{ name: 'app', image }] })).resolves.toBeDefined();
  });

  it('one that had such an image before can still be changed in all else', async () => {
    const patch = { type: 'merge', body: { metadata: { labels: { seen: 'yes' } } } } as const;
    const changed = await client.patch(pods, { name: 'before', namespace: OWN }, patch);
    expect(changed.metadata?.labels).toEqual({ seen: 'yes' });
  });
});
