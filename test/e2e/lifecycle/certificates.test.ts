/**
 * The webhook's certificates through a release's life: no Pod is refused, delayed or missed because of them.
 */
import { createCa, isTrusted, issueServerCertificate, splitBundle } from '../../../platform/x509.ts';
import type { Cluster } from '../../cluster/cluster.ts';
import { startCluster } from '../../cluster/start.ts';
import { DryAdmission } from '../../larder/dry-admission.ts';
import { installLarder, NAMESPACE, RELEASE } from '../../larder/install.ts';
import { podsOf, scale, settled, signalPods } from '../../larder/parts.ts';

const SPACE = 'certificates';
const HOST = `${RELEASE}-webhook.${NAMESPACE}.svc`;
const DAY_MS = 86_400_000;
/**
 * Longer than the kubelet takes to bring a changed Secret to a Pod: 10 s here, and more on a busy machine.
 */
const SETTLE = '20s';
const values = {
  certificates: { checkEvery: '1s', caSettleTime: SETTLE },
};

let cluster: Cluster;
let admission: DryAdmission;

const here = ['--namespace', NAMESPACE];
const caSecret = `${RELEASE}-ca`;
const servingSecret = `${RELEASE}-webhook-tls`;

function becomes(what: string, condition: () => Promise<boolean>, deadlineMs = 60_000): Promise<boolean> {
  return cluster.waitFor(what, condition, { deadlineMs, intervalMs: 300 });
}

function secret(name: string, { cert, key }: { cert: string; key: string }): object {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: NAMESPACE },
    type: 'kubernetes.io/tls',
    stringData: { 'tls.crt': cert, 'tls.key': key },
  };
}

/** The certificate that a Secret of the release holds. */
async function held(name: string): Promise<string> {
  const where = { namespace: NAMESPACE, name };
  const { data } = await cluster.read<{ data: Record<string, string> }>('v1/secrets', where);
  return Buffer.from(data['tls.crt'] ?? '', 'base64').toString();
}

/** What the API server trusts. */
async function trusted(): Promise<string> {
  interface Configuration {
    readonly webhooks: readonly { readonly clientConfig: { readonly caBundle?: string } }[];
  }
  const type = 'admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';
  const { webhooks } = await cluster.read<Configuration>(type, { name: RELEASE });
  return Buffer.from(webhooks[0]?.clientConfig.caBundle ?? '', 'base64').toString();
}

const peerScript = `
const [host, port] = process.argv.slice(1);
const socket = require('node:tls').connect({ host, port, rejectUnauthorized: false }, () => {
  process.stdout.write(socket.getPeerX509Certificate().toString());
  socket.destroy();
});
`;

/** The certificates that the replicas of the webhook show. */
async function shown(): Promise<string[]> {
  const replicas = await podsOf(cluster, 'webhook');
  return await Promise.all(
    replicas.map(async ({ address }) => {
      const argv = [process.execPath, '-e', peerScript, address, '8443'];
      return (await cluster.node(1).exec(argv)).stdout;
    }),
  );
}

async function everyReplicaShows(certificate: () => Promise<string>): Promise<void> {
  const look = async (): Promise<boolean> => {
    const wanted = await certificate();
    const found = await shown();
    return found.length === 2 && found.every((each) => each.trim() === wanted.trim());
  };
  await becomes('every replica to show the certificate of the Secret', look);
}

beforeAll(async () => {
  cluster = await startCluster({ nodes: 1, report: () => undefined });
  const labels = { 'larder.dev/cache': 'enabled' };
  const namespace = (name: string): object => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  await cluster.apply([
    namespace(NAMESPACE),
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: SPACE, labels } },
  ]);
  admission = new DryAdmission(cluster, SPACE);
}, 60_000);

afterAll(async () => {
  await admission.close();
  await cluster.stop();
});

it('install over leftovers, two replicas of everything starting at once: one CA, and pods are rewritten', async () => {
  // What an old installation may have left: a CA that has expired, and a certificate by an unknown CA.
  const past = Date.now() - 30 * DAY_MS;
  const lost = await createCa('Lost', 365, past);
  await cluster.apply([
    secret(caSecret, await createCa('Expired', 1, past)),
    secret(servingSecret, await issueServerCertificate(lost, [HOST], 365, past)),
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: caSecret, namespace: NAMESPACE },
      data: { 'ca.crt': 'not a certificate' },
    },
  ]);
  await installLarder(cluster, { values });
  const ca = await held(caSecret);
  expect(splitBundle(await trusted())).toEqual([ca]);
  await everyReplicaShows(() => held(servingSecret));
  expect(isTrusted(await held(servingSecret), ca)).toBe(true);
  await becomes('pods to be rewritten', () => admission.rewrites());
}, 180_000);

it("the caBundle survives that the chart's rendered configuration is applied again, or put in its place", async () => {
  const before = await trusted();
  const { stdout } = await cluster.helm(['get', 'manifest', RELEASE, ...here]);
  const rendered = stdout.split(/^---$/m).find((text) => text.includes('kind: MutatingWebhookConfiguration'));
  expect(rendered).toBeDefined();
  await cluster.kubectl(['apply', '-f', '-'], { stdin: rendered ?? '' });
  expect(await trusted()).toBe(before);
  await cluster.kubectl(['replace', '-f', '-'], { stdin: rendered ?? '' });
  await becomes('the caBundle to be back', async () => (await trusted()) === before, 10_000);
  await becomes('pods to be rewritten', () => admission.rewrites(), 10_000);
}, 60_000);

it('rotation without a dropped admission, also when the release is upgraded meanwhile', async () => {
  const [before] = splitBundle(await trusted());
  const sizes = new Set<number>();
  const rotated = async (): Promise<boolean> => {
    const now = splitBundle(await trusted());
    sizes.add(now.length);
    return now.length === 1 && now[0] !== before && isTrusted(await held(servingSecret), now[0] ?? '');
  };
  const { asked, lost, slowestMs } = await admission.during(async () => {
    // As an administrator does who wants another CA.
    await cluster.kubectl(['delete', 'secret', caSecret, ...here]);
    const upgrade = installLarder(cluster, {
      values: { ...values, webhook: { podAnnotations: { again: 'yes' } } },
    });
    await Promise.all([upgrade, becomes('only the new CA to be trusted', rotated, 150_000)]);
    await everyReplicaShows(() => held(servingSecret));
  });
  console.info(`${asked} admissions during the rotation, the slowest in ${slowestMs} ms`);
  expect(lost).toEqual([]);
  expect(asked).toBeGreaterThan(100);
  // Both were trusted in between.
  expect([...sizes].sort()).toEqual([1, 2]);
}, 180_000);

it('a Secret deleted by hand is made again, by the same CA', async () => {
  const [before, bundle] = [await held(servingSecret), await trusted()];
  await cluster.kubectl(['delete', 'secret', servingSecret, ...here]);
  const made = async (): Promise<boolean> => (await held(servingSecret)) !== before;
  await becomes('another certificate', made, 10_000);
  expect(isTrusted(await held(servingSecret), bundle)).toBe(true);
  expect(await trusted()).toBe(bundle);
  expect(await admission.rewrites()).toBe(true);
}, 30_000);

it('an expired certificate: pods are admitted as they are, at once, and rewritten again when it is replaced', async () => {
  await scale(cluster, 'controller', 0);
  const gone = async (): Promise<boolean> => (await podsOf(cluster, 'controller')).length === 0;
  await becomes('no controller to be there', gone);
  const past = Date.now() - 30 * DAY_MS;
  const expired = await issueServerCertificate(await createCa('Larder', 1, past), [HOST], 1, past);
  await cluster.apply(secret(servingSecret, expired));
  await everyReplicaShows(() => Promise.resolve(expired.cert));
  // Connections that are open know nothing of it.
  await signalPods(cluster, await podsOf(cluster, 'webhook'), 'KILL');
  await becomes('the API server to notice', async () => !(await admission.rewrites()));
  await everyReplicaShows(() => Promise.resolve(expired.cert));
  await settled(cluster);
  const { image, milliseconds } = await admission.admit('ghcr.io/acme/app:1');
  expect(image).toBe('ghcr.io/acme/app:1');
  expect(milliseconds).toBeLessThan(1_000);

  await scale(cluster, 'controller', 2);
  await becomes('pods to be rewritten', () => admission.rewrites());
  expect(isTrusted(await held(servingSecret), await trusted())).toBe(true);
}, 120_000);
