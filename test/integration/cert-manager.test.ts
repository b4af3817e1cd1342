/**
 * The webhook's certificate by cert-manager: its controllers, its cainjector, the chart, a real API server.
 */
import { join } from 'node:path';
import { connect } from 'node:tls';
import type { Patch } from '../../platform/kube/client.ts';
import {
  type KubeObject,
  type MutatingWebhookConfiguration,
  mutatingWebhookConfigurations,
  pods,
  secrets,
} from '../../platform/kube/resource.ts';
import { isTrusted, splitBundle } from '../../platform/x509.ts';
import { freeLoopbackPort } from '../../platform/ports.ts';
import { Programs } from '../bench/programs.ts';
import { waitFor } from '../cluster/wait.ts';
import { certificates, ISSUER, startCertManager, untyped } from '../envtest/cert-manager.ts';
import { ControllerBench, NAMES, RELEASE } from '../envtest/controller.ts';
import { MountedSecret } from '../envtest/mounted-secret.ts';
import { DryAdmission } from '../larder/dry-admission.ts';
import { render } from '../larder/render.ts';

const BY_CERT_MANAGER = {
  certificates: { certManager: { enabled: true, issuerRef: { kind: 'Issuer', name: ISSUER } } },
};
const CERTIFICATE = { name: NAMES.webhook, namespace: RELEASE };
const SERVED = { name: NAMES.webhookTls, namespace: RELEASE };
const CONFIGURATION = { name: NAMES.webhookConfiguration };
const DEADLINE = { deadlineMs: 60_000 };

const services = untyped('', 'Service');

let bench: ControllerBench;
let programs: Programs;
let admission: DryAdmission;
let mounted: MountedSecret;
let webhookPort: number;
/** The certificate of cert-manager's issuer. */
let ca: string;

interface Workload extends KubeObject {
  readonly spec: {
    readonly template: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> };
      readonly spec: {
        readonly containers: readonly { readonly env: readonly { name: string; value?: string }[] }[];
      };
    };
  };
}

function find(objects: readonly KubeObject[], kind: string, name: string): KubeObject {
  const found = objects.find((object) => object.kind === kind && object.metadata?.name === name);
  if (found === undefined) throw new Error(`the chart renders no ${kind} ${name}`);
  return found;
}

/** As the chart has it but for the port: the Service leads to this machine. */
function configuration(objects: readonly KubeObject[]): MutatingWebhookConfiguration {
  const { name } = CONFIGURATION;
  const rendered = find(objects, 'MutatingWebhookConfiguration', name) as MutatingWebhookConfiguration;
  const service = { name: NAMES.webhook, namespace: RELEASE, port: webhookPort };
  const webhooks = rendered.webhooks?.map((each) => ({ ...each, clientConfig: { service } })) ?? [];
  return { ...rendered, webhooks };
}

async function applyConfiguration(objects: readonly KubeObject[]): Promise<void> {
  const patch: Patch = { type: 'apply', body: configuration(objects), fieldManager: 'helm', force: true };
  await bench.client.patch(mutatingWebhookConfigurations, CONFIGURATION, patch);
}

function environment(objects: readonly KubeObject[], deployment: string): Record<string, string> {
  const { spec } = find(objects, 'Deployment', deployment) as Workload;
  const env = spec.template.spec.containers[0]?.env ?? [];
  return Object.fromEntries(env.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]])));
}

/** The certificate in the Secret. */
async function held(): Promise<string> {
  const { data } = await bench.client.get(secrets, SERVED);
  return Buffer.from(data?.['tls.crt'] ?? '', 'base64').toString();
}

/** What the API server trusts, by webhook. */
async function trusted(): Promise<string[]> {
  const { webhooks = [] } = await bench.client.get(mutatingWebhookConfigurations, CONFIGURATION);
  return webhooks.map(({ clientConfig }) => Buffer.from(clientConfig.caBundle ?? '', 'base64').toString());
}

/** The certificate that the webhook shows. */
function shown(): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: webhookPort, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerX509Certificate()?.toString().trim() ?? '');
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

/** Waits until the webhook shows what the Secret holds, and not what it has shown before. */
async function showsAnother(before: string): Promise<string> {
  const look = async (): Promise<string | false> => {
    const [now, secret] = [await shown(), await held()];
    return now !== before && now === secret.trim() && now;
  };
  return await waitFor('the webhook to show another certificate', look, DEADLINE);
}

async function trustsIssuer(): Promise<void> {
  const injected = async (): Promise<boolean> =>
    (await trusted()).every((bundle) => splitBundle(bundle).includes(ca));
  await waitFor('the CA of the issuer to be in every webhook of the configuration', injected, DEADLINE);
}

/** Whether the API server would take it on a new connection. */
async function isTrustedNow(certificate: string): Promise<boolean> {
  return (await trusted()).every((bundle) => isTrusted(certificate, bundle));
}

async function rewrites(): Promise<void> {
  await waitFor('pods to be rewritten', () => admission.rewrites(), DEADLINE);
}

async function startWebhook(objects: readonly KubeObject[]): Promise<void> {
  await programs.start({
    name: 'webhook',
    argv: [process.execPath, join(import.meta.dirname, '../../webhook/main.ts')],
    port: webhookPort,
    env: {
      ...environment(objects, NAMES.webhook),
      KUBECONFIG: await bench.kubeconfig(),
      LARDER_NAMESPACE: RELEASE,
      LARDER_LISTEN: `127.0.0.1:${webhookPort}`,
      LARDER_METRICS_LISTEN: `127.0.0.1:${await freeLoopbackPort()}`,
      LARDER_TLS: mounted.folder,
    },
  });
}

/** A proxy that is ready, without which nothing is rewritten. */
async function makeProxy(objects: readonly KubeObject[]): Promise<void> {
  const { spec: daemonSet } = find(objects, 'DaemonSet', NAMES.proxy) as Workload;
  const { labels } = daemonSet.template.metadata;
  const ref = { name: 'proxy-1', namespace: RELEASE };
  const spec = { nodeName: 'node-1', containers: [{ name: 'proxy', image: 'larder' }] };
  await bench.client.create(pods, { metadata: { ...ref, labels }, spec });
  const body = { status: { conditions: [{ type: 'Ready', status: 'True' }] } };
  await bench.client.patch(pods, ref, { type: 'merge', body }, { subresource: 'status' });
}

// A release that makes its certificate itself.
beforeAll(async () => {
  bench = await ControllerBench.start();
  programs = await Programs.open();
  admission = new DryAdmission({ kubeconfig: await bench.kubeconfig() }, 'team-a');
  webhookPort = await freeLoopbackPort();
  const objects = await render<KubeObject>({}, RELEASE);
  const spec = { type: 'ExternalName', externalName: 'localhost' };
  const metadata = { name: NAMES.webhook, namespace: RELEASE };
  await bench.client.create(services, { metadata, spec } as KubeObject);
  await bench.client.delete(mutatingWebhookConfigurations, CONFIGURATION);
  await applyConfiguration(objects);
  await makeProxy(objects);
  mounted = await MountedSecret.mount(bench.client, SERVED, programs.subfolder('tls'));
  await startWebhook(objects);
  await rewrites();
}, 900_000); // the programs may have to be built first

afterAll(async () => {
  await mounted.unmount();
  await admission.close();
  await programs.close();
  await bench.stop();
});

it('takes over in a release that runs: its certificate is served, and the CA that it injects is trusted', async () => {
  const before = await shown();
  ca = await startCertManager(bench, programs);
  const objects = await render<KubeObject>(BY_CERT_MANAGER, RELEASE);
  await bench.leader?.stop();
  const { LARDER_OWN_WEBHOOK_CERTIFICATE = '' } = environment(objects, NAMES.controller);
  bench.lead({ LARDER_OWN_WEBHOOK_CERTIFICATE });
  await bench.client.create(certificates, find(objects, 'Certificate', NAMES.webhook));
  await applyConfiguration(objects);

  const ready = async (): Promise<boolean> => {
    const { status } = await bench.client.get(certificates, CERTIFICATE);
    return status?.conditions?.some((each) => each.type === 'Ready' && each.status === 'True') ?? false;
  };
  await waitFor('the Certificate to be Ready', ready, DEADLINE);
  await trustsIssuer();
  const certificate = await showsAnother(before);
  expect(isTrusted(certificate, ca)).toBe(true);
  await rewrites();
  // Replicas may show the former certificate for as long as their kubelets take: it is trusted as well.
  expect(await isTrustedNow(before)).toBe(true);
}, 600_000);

it('rotates without a dropped admission, when it is told to and when the Secret is deleted', async () => {
  const first = await shown();
  const { asked, lost, slowestMs } = await admission.during(async () => {
    // As `cmctl renew` does.
    const status = { status: 'True', reason: 'ManuallyTriggered', lastTransitionTime: new Date() };
    const body = [{ op: 'add', path: '/status/conditions/-', value: { type: 'Issuing', ...status } }];
    await bench.client.patch(certificates, CERTIFICATE, { type: 'json', body }, { subresource: 'status' });
    const second = await showsAnother(first);
    expect(await isTrustedNow(second)).toBe(true);
    await bench.client.delete(secrets, SERVED);
    expect(await isTrustedNow(await showsAnother(second))).toBe(true);
  });
  console.info(`${asked} admissions during two rotations, the slowest in ${slowestMs} ms`);
  expect(lost).toEqual([]);
  expect(asked).toBeGreaterThan(5);
}, 120_000);

it('brings its CA back when the rendered configuration is put in the place of what is there', async () => {
  const { metadata } = await bench.client.get(mutatingWebhookConfigurations, CONFIGURATION);
  const rendered = configuration(await render<KubeObject>(BY_CERT_MANAGER, RELEASE));
  const { resourceVersion = '' } = metadata ?? {};
  const replacement = { ...rendered, metadata: { ...rendered.metadata, resourceVersion } };
  await bench.client.replace(mutatingWebhookConfigurations, replacement);
  await trustsIssuer();
  await rewrites();
}, 60_000);
