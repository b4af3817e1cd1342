import fc from 'fast-check';
import jsonPatch from 'fast-json-patch';
import { parseCachePolicy } from '../api/cache-policy.ts';
import { RULES } from '../test/fakes/rules.ts';
import { hideCapabilities } from '../platform/redact.ts';
import type { TenantName } from '../registry/core/cached-name.ts';
import { makeCapability } from '../registry/core/capability.ts';
import { CAPABILITY_KEY, CLUSTER_STATE as EVERYWHERE } from '../test/fakes/cluster-state.ts';
import type { JsonObject } from './admission-review.ts';
import { diff } from './patch.ts';
import { rewritePod, type ClusterState } from './rewrite.ts';

const CLUSTER_STATE: ClusterState = {
  ...EVERYWHERE,
  hasProxy: (node) => node === 'node-1',
};
const LABEL = 'larder.dev/rewritten';
const ANNOTATION = 'larder.dev/original-images';

interface TestPod extends JsonObject {
  metadata: { labels?: Record<string, string>; annotations?: Record<string, string> };
  spec: Record<string, unknown>;
}

function podOf(spec: Record<string, unknown>, annotations?: Record<string, string>): TestPod {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { ...(annotations ? { annotations } : {}) }, spec };
}

function create(pod: JsonObject, namespace = 'team-a') {
  return rewritePod(pod, { namespace, oldPod: undefined, subresource: undefined }, CLUSTER_STATE);
}

/** The one container's image after a creation. */
function imageFor(image: string, spec: Record<string, unknown> = {}, namespace?: string): string {
  const { pod } = create(podOf({ ...spec, containers: [{ name: 'app', image }] }), namespace);
  return ((pod as TestPod).spec['containers'] as { image: string }[])[0]?.image ?? '';
}

/** The same, without the capability in it. */
function readableImageFor(...given: Parameters<typeof imageFor>): string {
  return hideCapabilities(imageFor(...given));
}

const withSecret = { imagePullSecrets: [{ name: 'regcred' }] };

describe('an image of a created pod', () => {
  it.each([
    ['nginx', 'localhost:7439/docker.io/library/nginx:latest'],
    ['nginx:1.27', 'localhost:7439/docker.io/library/nginx:1.27'],
    ['10.77.0.9:5000/team/app:1', 'localhost:7439/10.77.0.9-5000/team/app:1'],
    [`ghcr.io/a/b@sha256:${'a'.repeat(64)}`, `localhost:7439/ghcr.io/a/b@sha256:${'a'.repeat(64)}`],
  ])('%s goes through the cache', (image, expected) => {
    expect(imageFor(image)).toBe(expected);
  });

  it('belongs to its namespace when the pod has pull secrets', () => {
    expect(readableImageFor('ghcr.io/acme/app:7', withSecret)).toBe(
      'localhost:7439/team-a.tenant/ghcr.io/acme/app:7',
    );
  });

  it('then carries what proxies let in, and the same again when it is decided about again', () => {
    const image = imageFor('ghcr.io/acme/app:7', withSecret);
    const name = { tenant: 'team-a', host: 'ghcr.io', repository: 'acme/app' };
    expect(image).toBe(
      `localhost:7439/team-a.tenant.${makeCapability(name, CAPABILITY_KEY)}/ghcr.io/acme/app:7`,
    );
    expect(imageFor(image, withSecret)).toBe(image);
  });

  it('keeps its original while its name cannot be made, and public ones go through the cache all the same', () => {
    const spec = {
      ...withSecret,
      containers: [
        { name: 'private', image: 'ghcr.io/acme/app:7' },
        { name: 'public', image: 'redis:7' },
      ],
    };
    const state = { ...CLUSTER_STATE, capabilities: { missing: 'an old proxy still runs' } };
    const request = { namespace: 'team-a', oldPod: undefined, subresource: undefined };
    const { pod, skipped } = rewritePod(podOf(spec), request, state);
    const images = ((pod as TestPod).spec['containers'] as { image: string }[]).map(({ image }) => image);
    expect(images).toEqual(['ghcr.io/acme/app:7', 'localhost:7439/docker.io/library/redis:7']);
    expect(skipped).toMatchObject([{ reason: 'PrivateImage', message: 'an old proxy still runs' }]);
  });

  it('keeps the name that it has when an update asks for its original again, whatever key signs by now', () => {
    const oldImage = imageFor('ghcr.io/acme/app:7', withSecret);
    const podWith = (image: string) => podOf({ ...withSecret, containers: [{ name: 'app', image }] });
    const newer = { secret: Buffer.alloc(32, 9), signsFrom: 1 };
    const state = {
      ...CLUSTER_STATE,
      capabilities: { of: (name: TenantName) => makeCapability(name, newer) },
    };
    const request = { namespace: 'team-a', oldPod: podWith(oldImage), subresource: undefined };
    const { pod } = rewritePod(podWith('ghcr.io/acme/app:7'), request, state);
    expect(((pod as TestPod).spec['containers'] as { image: string }[])[0]?.image).toBe(oldImage);
  });

  it('is left alone while no key may sign, unless its name has been handed out', () => {
    const state: ClusterState = { ...CLUSTER_STATE, capabilities: { of: () => undefined } };
    const request = { namespace: 'team-a', oldPod: undefined, subresource: undefined };
    const pod = (image: string): TestPod => podOf({ ...withSecret, containers: [{ name: 'app', image }] });
    const { skipped, cached } = rewritePod(pod('ghcr.io/acme/app:7'), request, state);
    expect([cached, skipped]).toMatchObject([0, [{ image: 'ghcr.io/acme/app:7', reason: 'PrivateImage' }]]);
    const image = imageFor('ghcr.io/acme/app:7', withSecret);
    expect(rewritePod(pod(image), request, state)).toMatchObject({ cached: 1, skipped: [], pod: pod(image) });
  });

  it('belongs to nobody when it is listed as public', () => {
    expect(imageFor('redis:7', withSecret)).toBe('localhost:7439/docker.io/library/redis:7');
  });

  it.each([
    ['localhost:7439/team-b.tenant/ghcr.io/acme/app:7', {}, 'localhost:7439/ghcr.io/acme/app:7'],
    [
      'localhost:7439/team-b.tenant/ghcr.io/acme/app:7',
      withSecret,
      'localhost:7439/team-a.tenant/ghcr.io/acme/app:7',
    ],
    [
      'localhost:7439/localhost-7439/team-b.tenant/ghcr.io/acme/app:7',
      {},
      'localhost:7439/ghcr.io/acme/app:7',
    ],
    ['localhost:7439/nginx:1', {}, 'localhost:7439/docker.io/library/nginx:1'],
    ['localhost:7439/localhost-5000/app:1', {}, 'localhost:5000/app:1'],
  ])('%s does not get what it claims', (image, spec, expected) => {
    expect(readableImageFor(image, spec)).toBe(expected);
  });

  it.each(['localhost:5000/app:1', 'localhost/app:1', '127.0.0.1:5000/app:1', '[::1]:5000/app:1'])(
    '%s, on the node itself, is left alone',
    (image) => {
      const pod = podOf({ containers: [{ name: 'app', image }] });
      expect(create(pod)).toEqual({
        pod,
        cached: 0,
        skipped: [{ key: 'app', image, reason: 'LocalImage', message: 'its registry is on the node itself' }],
        explain: false,
      });
    },
  );

  it.each(['NGINX', 'a b', 'nginx:', 'x@sha256:12', 'localhost:7439/UPPER'])(
    '%s cannot be parsed: it is left alone while its neighbour is rewritten',
    (image) => {
      const { pod, skipped } = create(
        podOf({
          containers: [
            { name: 'bad', image },
            { name: 'good', image: 'nginx' },
          ],
        }),
      );
      expect((pod as TestPod).spec['containers']).toEqual([
        { name: 'bad', image },
        { name: 'good', image: 'localhost:7439/docker.io/library/nginx:latest' },
      ]);
      expect(skipped).toMatchObject([{ key: 'bad', image, reason: 'Unparsable' }]);
    },
  );

  it('whose name in the cache would be too long is left alone', () => {
    const image = `ghcr.io/${'a'.repeat(250)}:1`;
    expect(imageFor(image)).toBe(image);
  });

  it('whose pull policy is Never is left alone', () => {
    const pod = podOf({ containers: [{ name: 'app', image: 'nginx', imagePullPolicy: 'Never' }] });
    expect(create(pod)).toMatchObject({ pod, cached: 0, skipped: [{ reason: 'PullPolicyNever' }] });
  });
});

describe('a created pod', () => {
  it('has the images of all kinds of containers and of volumes rewritten, and says what they were', () => {
    const { pod, cached } = create(
      podOf({
        initContainers: [{ name: 'init', image: 'busybox:1' }],
        containers: [{ name: 'app', image: 'nginx', args: ['x'] }],
        ephemeralContainers: [{ name: 'debug', image: 'busybox:2' }],
        volumes: [
          { name: 'models', image: { reference: 'ghcr.io/acme/models:3', pullPolicy: 'IfNotPresent' } },
          { name: 'tmp', emptyDir: {} },
        ],
      }),
    );
    expect(cached).toBe(4);
    expect(pod).toEqual({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        labels: { [LABEL]: 'true' },
        annotations: {
          [ANNOTATION]:
            '{"init":"busybox:1","app":"nginx","debug":"busybox:2","volume/models":"ghcr.io/acme/models:3"}',
        },
      },
      spec: {
        initContainers: [{ name: 'init', image: 'localhost:7439/docker.io/library/busybox:1' }],
        containers: [{ name: 'app', image: 'localhost:7439/docker.io/library/nginx:latest', args: ['x'] }],
        ephemeralContainers: [{ name: 'debug', image: 'localhost:7439/docker.io/library/busybox:2' }],
        volumes: [
          {
            name: 'models',
            image: { reference: 'localhost:7439/ghcr.io/acme/models:3', pullPolicy: 'IfNotPresent' },
          },
          { name: 'tmp', emptyDir: {} },
        ],
      },
    });
  });

  it('of an excluded namespace, or one that mirrors a static pod, is left alone', () => {
    const pod = podOf({ containers: [{ name: 'app', image: 'nginx' }] });
    expect(create(pod, 'kube-system')).toMatchObject({ pod, skipped: [{ reason: 'NamespaceExcluded' }] });
    const mirror = podOf(pod.spec, { 'kubernetes.io/config.mirror': 'abc' });
    expect(create(mirror)).toMatchObject({ pod: mirror, skipped: [{ reason: 'MirrorPod' }] });
  });

  it.each([
    ['OptedOut', { metadata: { labels: { 'larder.dev/cache': 'disabled' } } }, {}],
    ['NoProxyOnNode', { spec: { nodeName: 'virtual-1' } }, {}],
    ['GateClosed', {}, { gate: { open: false, message: '0 of 2 proxies are ready' } }],
  ] as const)('is left exactly as it is: %s', (reason, changes, clusterState) => {
    const containers = [{ name: 'app', image: 'nginx' }];
    const pod = {
      metadata: {},
      ...changes,
      spec: { containers, ...('spec' in changes ? changes.spec : {}) },
    };
    const request = { namespace: 'team-a', oldPod: undefined, subresource: undefined };
    const result = rewritePod(pod, request, { ...CLUSTER_STATE, ...clusterState });
    expect(result.pod).toBe(pod);
    expect(result.skipped).toMatchObject([{ key: 'app', image: 'nginx', reason }]);
  });

  it('has the images left alone that the administrator excluded, also when they were rewritten before', () => {
    const rules = { ...RULES, exclude: { ...RULES.exclude, images: ['ghcr.io/huge/*'] } };
    const images = ['ghcr.io/huge/model:1', 'localhost:7439/ghcr.io/huge/model:1', 'ghcr.io/acme/app:1'];
    const pod = podOf({ containers: images.map((image, index) => ({ name: `c${index}`, image })) });
    const request = { namespace: 'team-a', oldPod: undefined, subresource: undefined };
    const result = rewritePod(pod, request, { ...CLUSTER_STATE, rules });
    expect((result.pod as TestPod).spec['containers']).toMatchObject([
      { image: 'ghcr.io/huge/model:1' },
      { image: 'ghcr.io/huge/model:1' },
      { image: 'localhost:7439/ghcr.io/acme/app:1' },
    ]);
    expect(result.skipped.map(({ reason }) => reason)).toEqual(['ImageExcluded', 'ImageExcluded']);
  });

  it.each([
    ['of all', {}, 'ExcludedByPolicy'],
    ['of its namespace', { namespaces: ['team-*'] }, 'ExcludedByPolicy'],
    ['of another namespace', { namespaces: ['other'] }, undefined],
  ])('has the images %s left alone that a policy keeps out of the cache', (_whose, match, reason) => {
    const spec = { match: { images: ['ghcr.io/huge/*'], ...match }, cache: false };
    const policies = [parseCachePolicy({ metadata: { name: 'huge' }, spec })];
    const pod = podOf({ containers: [{ name: 'app', image: 'localhost:7439/ghcr.io/huge/model:1' }] });
    const request = { namespace: 'team-a', oldPod: undefined, subresource: undefined };
    const result = rewritePod(pod, request, { ...CLUSTER_STATE, policies });
    expect(result.skipped.map((skipped) => skipped.reason)).toEqual(reason === undefined ? [] : [reason]);
    const image = `${reason === undefined ? 'localhost:7439/' : ''}ghcr.io/huge/model:1`;
    expect((result.pod as TestPod).spec['containers']).toMatchObject([{ image }]);
  });

  it('does not keep a forged annotation', () => {
    const forged = { app: 'evil.example/x:1', other: 'nginx' };
    const { pod } = create(
      podOf(
        { containers: [{ name: 'app', image: 'localhost:7439/docker.io/library/nginx:1' }] },
        { [ANNOTATION]: JSON.stringify(forged) },
      ),
    );
    expect((pod as TestPod).metadata.annotations).toEqual({
      [ANNOTATION]: '{"app":"docker.io/library/nginx:1"}',
    });
  });

  it('without any image in the cache carries neither our label nor our annotation', () => {
    const pod = podOf(
      { containers: [{ name: 'app', image: 'localhost:5000/a:1' }] },
      { [ANNOTATION]: 'x', keep: 'y' },
    );
    pod.metadata.labels = { [LABEL]: 'true' };
    expect((create(pod).pod as TestPod).metadata).toEqual({ labels: {}, annotations: { keep: 'y' } });
  });
});

describe('an update', () => {
  const update = (pod: JsonObject, oldPod: JsonObject, subresource?: string) =>
    rewritePod(pod, { namespace: 'team-a', oldPod, subresource }, CLUSTER_STATE);

  it('through ephemeralcontainers rewrites the new container and nothing else', () => {
    const spec = {
      containers: [{ name: 'app', image: 'nginx' }],
      ephemeralContainers: [{ name: 'old', image: 'busybox:1' }],
    };
    const pod = podOf({
      ...spec,
      ephemeralContainers: [...spec.ephemeralContainers, { name: 'new', image: 'busybox:2' }],
    });
    expect(update(pod, podOf(spec), 'ephemeralcontainers').pod).toEqual(
      podOf({
        ...spec,
        ephemeralContainers: [
          { name: 'old', image: 'busybox:1' },
          { name: 'new', image: 'localhost:7439/docker.io/library/busybox:2' },
        ],
      }),
    );
  });

  it('keeps what is said about images that it does not change', () => {
    const first = create(
      podOf({
        containers: [
          { name: 'a', image: 'nginx' },
          { name: 'b', image: 'redis' },
        ],
      }),
    ).pod as TestPod;
    expect(update(first, first).pod).toBe(first);
    const [a, b] = first.spec['containers'] as { image: string }[];
    const changed = { ...first, spec: { containers: [a, { ...b, image: 'redis:8' }] } };
    const { pod } = update(changed, first);
    expect((pod as TestPod).metadata.annotations?.[ANNOTATION]).toBe('{"a":"nginx","b":"redis:8"}');
    expect((pod as TestPod).spec['containers']).toMatchObject([
      a,
      { image: 'localhost:7439/docker.io/library/redis:8' },
    ]);
  });
});

describe('whatever the pod', () => {
  const host = fc.constantFrom(
    '',
    'ghcr.io/',
    'reg.example.com:5000/',
    '[::1]:5000/',
    'localhost/',
    '10.0.0.1:80/',
    'localhost:7439/',
    'localhost:7439/ghcr.io/',
    'localhost:7439/x.tenant/quay.io/',
  );
  const name = fc.constantFrom('nginx', 'library/nginx', 'acme/app', 'a/b/c-d_e.f', 'UPPER', 'bad name');
  const suffix = fc.constantFrom(
    '',
    ':1',
    ':latest',
    `@sha256:${'0'.repeat(64)}`,
    `:7@sha256:${'f'.repeat(64)}`,
    '@sha256:short',
  );
  const image = fc.oneof(
    fc.tuple(host, name, suffix).map((parts) => parts.join('')),
    fc.string(),
  );
  const policy = fc.constantFrom('Always', 'IfNotPresent', 'Never');
  const containers = (prefix: string, maxLength: number) =>
    fc
      .array(fc.record({ image, imagePullPolicy: policy, env: fc.json() }, { requiredKeys: [] }), {
        maxLength,
      })
      .map((items) => items.map((item, i) => ({ name: `${prefix}${i}`, ...item })));
  const volumes = fc
    .array(
      fc.oneof(
        image.map((reference) => ({ image: { reference } })),
        fc.constant({ emptyDir: {} }),
      ),
      { maxLength: 3 },
    )
    .map((items) => items.map((item, i) => ({ name: `v${i}`, ...item })));
  const strings = fc.dictionary(
    fc.constantFrom('a', 'b/c', 'x~y', LABEL, ANNOTATION),
    fc.oneof(fc.string(), fc.constant('{"c0":"nginx"}')),
  );
  const pod = fc
    .record(
      {
        metadata: fc.record(
          { name: fc.string(), labels: strings, annotations: strings },
          { requiredKeys: [] },
        ),
        spec: fc.record(
          {
            containers: containers('c', 4),
            initContainers: containers('i', 2),
            ephemeralContainers: containers('e', 2),
            volumes,
            imagePullSecrets: fc.array(fc.record({ name: fc.string() }), { maxLength: 2 }),
            nodeName: fc.constantFrom('', 'node-1'),
          },
          { requiredKeys: ['containers'] },
        ),
        status: fc.object(),
      },
      { requiredKeys: ['metadata', 'spec'] },
    )
    .map((value) => JSON.parse(JSON.stringify(value)) as TestPod);

  it('deciding again changes nothing', () => {
    fc.assert(
      fc.property(pod, (given) => {
        const once = create(given).pod;
        expect(create(once).pod).toEqual(once);
      }),
      { numRuns: 2_000 },
    );
  });

  it('nothing but images, our label and our annotation changes, and the patch says just that', () => {
    const allowed =
      /^\/spec\/(containers|initContainers|ephemeralContainers)\/\d+\/image$|^\/spec\/volumes\/\d+\/image\/reference$|^\/metadata\/(labels|annotations)(\/larder\.dev~1(rewritten|original-images))?$/;
    const ours = (map: Record<string, string> = {}) =>
      Object.fromEntries(Object.entries(map).filter(([key]) => key !== LABEL && key !== ANNOTATION));
    fc.assert(
      fc.property(pod, (given) => {
        const before = structuredClone(given);
        const result = create(given).pod as TestPod;
        expect(given).toEqual(before);
        const patch = diff(given, result) as { path: string }[];
        for (const { path } of patch) expect(path).toMatch(allowed);
        expect(ours(result.metadata.labels)).toEqual(ours(given.metadata.labels));
        expect(ours(result.metadata.annotations)).toEqual(ours(given.metadata.annotations));
        expect(jsonPatch.applyPatch(structuredClone(given), patch as never).newDocument).toEqual(result);
      }),
      { numRuns: 2_000 },
    );
  });

  it('the annotation gives back every image that was asked for by its own name', () => {
    fc.assert(
      fc.property(pod, (given) => {
        const result = create(given).pod as TestPod;
        const originals = JSON.parse(result.metadata.annotations?.[ANNOTATION] ?? '{}') as Record<
          string,
          string
        >;
        const images = (from: TestPod, list: string) =>
          (from.spec[list] ?? []) as { name: string; image?: string }[];
        for (const list of ['containers', 'initContainers', 'ephemeralContainers']) {
          images(result, list).forEach(({ name: key, image: now }, i) => {
            const asked = images(given, list)[i]?.image;
            if (now === asked || asked?.startsWith('localhost:7439/')) return;
            expect(originals[key]).toBe(asked);
          });
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('does not throw for objects that are no pods at all', () => {
    fc.assert(
      fc.property(fc.object(), fc.anything(), fc.anything(), (object, spec, metadata) => {
        for (const given of [object, { spec, metadata }] as JsonObject[])
          expect(create(given).cached).toBe(0);
      }),
      { numRuns: 2_000 },
    );
  });
});
