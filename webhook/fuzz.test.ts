import { silentLogger } from '../platform/log.ts';
import { Metrics } from '../platform/metrics.ts';
import { CLUSTER_STATE } from '../test/fakes/cluster-state.ts';
import { InvalidReview } from './admission-review.ts';
import { admissionMetrics } from './admission-metrics.ts';
import { respond } from './admission-response.ts';

const RUNS = 100_000;

/** What a patch of ours may touch. */
const OURS =
  /^\/(spec\/(containers|initContainers|ephemeralContainers)\/\d+\/image|spec\/volumes\/\d+\/image\/reference|metadata(\/(labels|annotations)(\/larder\.dev~1(rewritten|original-images))?)?)$/;

const REVIEW = {
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: {
    uid: 'u1',
    operation: 'UPDATE',
    resource: { group: '', version: 'v1', resource: 'pods' },
    subResource: 'ephemeralcontainers',
    namespace: 'team-a',
    name: 'web',
    object: {
      metadata: {
        name: 'web',
        labels: { app: 'web', 'larder.dev/rewritten': 'true' },
        annotations: { 'larder.dev/original-images': '{"app":"nginx"}', 'larder.dev/explain': 'true' },
      },
      spec: {
        nodeName: 'node-1',
        nodeSelector: { disk: 'ssd' },
        os: { name: 'linux' },
        imagePullSecrets: [{ name: 'regcred' }],
        initContainers: [{ name: 'init', image: 'busybox:1', imagePullPolicy: 'Always' }],
        containers: [
          { name: 'app', image: 'localhost:7439/docker.io/library/nginx:latest' },
          { name: 'side', image: 'reg.example.com:5000/a/b@sha256:' + 'a'.repeat(64) },
        ],
        volumes: [{ name: 'models', image: { reference: 'ghcr.io/acme/models:3' } }],
        affinity: {
          nodeAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: {
              nodeSelectorTerms: [
                { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['node-1'] }] },
              ],
            },
          },
        },
      },
    },
    oldObject: { metadata: {}, spec: { containers: [{ name: 'app', image: 'nginx' }] } },
  },
};

/** Whose object was changed how. */
const BASES = [
  {},
  { operation: 'CREATE', subResource: undefined, oldObject: null },
  { subResource: undefined },
];

const ODD: readonly unknown[] = [
  null,
  true,
  -1,
  1e300,
  '',
  ' ',
  '\u0000',
  'localhost:7439/',
  'localhost:7439/a.tenant/b',
  'localhost:7439/localhost-7439/x',
  'A/B:c@sha256:zz',
  '@',
  ':',
  '//',
  'x:'.repeat(500),
  'ü/ß:1',
  '[::1]:5000/x',
  '{"app":1}',
  '{"__proto__":"x"}',
  [],
  {},
  [[]],
  { name: 'x', image: 7 },
  { __proto__: null, image: {} },
];

/** The same sequence every time: a failure can be seen again. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Changes one place somewhere below `value`. */
function mutate(value: unknown, random: (below: number) => number): unknown {
  if (typeof value !== 'object' || value === null || random(12) === 0) {
    if (typeof value === 'string' && random(2) === 0) {
      const at = random(value.length + 1);
      return value.slice(0, at) + String.fromCharCode(random(0x250)) + value.slice(at + random(3));
    }
    return ODD[random(ODD.length)];
  }
  if (Array.isArray(value)) {
    const items = [...(value as unknown[])];
    const at = random(items.length + 1);
    if (random(4) === 0) items.splice(at, random(2), items[random(items.length)] ?? ODD[random(ODD.length)]);
    else if (items.length > 0) items[at % items.length] = mutate(items[at % items.length], random);
    return items;
  }
  const entries = Object.entries(value);
  const at = random(Math.max(1, entries.length));
  const [key = 'x', held] = entries[at] ?? [];
  if (random(15) === 0) entries.splice(at, 1);
  else entries[at] = [random(20) === 0 ? key + 's' : key, mutate(held, random)];
  return Object.fromEntries(entries);
}

function damage(text: string, random: (below: number) => number): string {
  const at = random(text.length);
  return random(2) === 0 ? text.slice(0, at) : text.slice(0, at) + text.slice(at + 1 + random(5));
}

it('100,000 mutated reviews are refused as such or admitted, with nothing changed that is not ours', () => {
  const errors: unknown[] = [];
  const log = { ...silentLogger, error: (_: string, fields?: object) => errors.push(fields) };
  const options = {
    clusterState: () => ({ ...CLUSTER_STATE, hasProxy: (node: string) => node === 'node-1' }),
    metrics: admissionMetrics(new Metrics('webhook'), () => true),
    log,
  };
  const random = randomNumbers(7);
  const seen = { refused: 0, unchanged: 0, patched: 0 };
  for (let run = 0; run < RUNS; run++) {
    let object: unknown = REVIEW.request.object;
    for (let rounds = 1 + random(6); rounds > 0; rounds--) object = mutate(object, random);
    const whole = { ...REVIEW, request: { ...REVIEW.request, ...BASES[random(BASES.length)], object } };
    const text = JSON.stringify(random(4) === 0 ? mutate(whole, random) : whole);
    const body = random(20) === 0 ? damage(text, random) : text;
    try {
      const { response } = respond(body, true, options) as { response: { allowed: boolean; patch?: string } };
      if (!response.allowed) throw new Error(`denied: ${body}`);
      seen[response.patch ? 'patched' : 'unchanged']++;
      const patch = Buffer.from(response.patch ?? 'W10=', 'base64').toString();
      const foreign = (JSON.parse(patch) as { path: string }[]).find(({ path }) => !OURS.test(path));
      if (foreign) throw new Error(`${foreign.path} was changed in ${body}`);
    } catch (error) {
      if (!(error instanceof InvalidReview)) throw error;
      seen.refused++;
    }
  }
  expect(errors).toEqual([]);
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(RUNS / 50);
}, 120_000);
