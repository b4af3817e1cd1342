/** The controller's leader against a real API server, with a fake copier. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { parseDocument } from 'yaml';
import type { CachedImage } from '../../api/cached-image.ts';
import { releaseNames } from '../../api/names.ts';
import { RULES_KEY } from '../../api/rules.ts';
import { controllerConfig } from '../../controller/config.ts';
import { controllerMetrics } from '../../controller/metrics.ts';
import { imageRecords, watchedPolicies } from '../../controller/cluster/resources.ts';
import { lead } from '../../controller/leader.ts';
import { systemClock } from '../../platform/clock.ts';
import { loadConfig } from '../../platform/config.ts';
import { KubeClient } from '../../platform/kube/client.ts';
import { findCondition } from '../../platform/kube/conditions.ts';
import {
  configMaps,
  type KubeObject,
  type MutatingWebhookConfiguration,
  mutatingWebhookConfigurations,
  namespaces,
  nodes,
  pods,
  type Resource,
  secrets,
} from '../../platform/kube/resource.ts';
import type { Connection } from '../../platform/kube/connection.ts';
import { silentLogger } from '../../platform/log.ts';
import { Metrics } from '../../platform/metrics.ts';
import { waitFor } from '../cluster/wait.ts';
import { FakeCopier } from '../fakes/copier.ts';
import { RULES } from '../fakes/rules.ts';
import { ApiServer, type TestUser } from './api-server.ts';
import { freeLoopbackPort } from '../../platform/ports.ts';

const CRDS = join(import.meta.dirname, '../../manifests/chart/larder/files/crds');
export const NAMES = releaseNames('larder');
export const RELEASE = 'larder-system';

const definitions: Resource<KubeObject> = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  namespaced: false,
  decode: (raw) => raw as KubeObject,
};

/** One leader, until it is stopped or loses the lease. */
export interface Leader {
  /** Set `lost` to true to take the lease away. */
  readonly fence: { lost: boolean };
  readonly stop: () => Promise<void>;
}

export class ControllerBench {
  readonly client: KubeClient;
  readonly copier: FakeCopier;
  readonly #api: ApiServer;
  readonly #env: Readonly<Record<string, string>>;
  readonly #leaders: Leader[] = [];

  private constructor(api: ApiServer, client: KubeClient, copier: FakeCopier, env: Record<string, string>) {
    this.#api = api;
    this.client = client;
    this.copier = copier;
    this.#env = env;
  }

  /**
   * An API server with our CRDs, a node, the namespaces `team-a` (opted in) and `team-b` (not), and a first
   * leader.
   */
  static async start(settings: Readonly<Record<string, string>> = {}): Promise<ControllerBench> {
    const api = await ApiServer.start();
    const client = new KubeClient(api.connect(), 'test');
    for (const plural of ['cachedimages', 'cachepolicies', 'imagecaches']) {
      const crd = await readFile(join(CRDS, `larder.dev_${plural}.yaml`), 'utf8');
      await client.create(definitions, parseDocument(crd).toJS() as KubeObject);
    }
    for (const name of [RELEASE, 'team-b']) await client.create(namespaces, { metadata: { name } });
    const labels = { 'larder.dev/cache': 'enabled' };
    await client.create(namespaces, { metadata: { name: 'team-a', labels } });
    await client.create(mutatingWebhookConfigurations, webhookConfiguration());
    await client.create(configMaps, {
      metadata: { name: NAMES.rules, namespace: RELEASE },
      data: { [RULES_KEY]: JSON.stringify({ ...RULES, publicRepositories: ['docker.io/library/*'] }) },
    });
    const served = (): Promise<unknown> =>
      Promise.all([client.list(imageRecords), client.list(watchedPolicies)]);
    await waitFor('our resources to be served', served, { deadlineMs: 10_000 });
    const port = await freeLoopbackPort();
    const token = join(api.folder, 'token');
    await writeFile(token, 'token-of-the-controller');
    const env = {
      LARDER_NAMESPACE: RELEASE,
      LARDER_FULLNAME: 'larder',
      LARDER_COPIER_URL: `https://127.0.0.1:${port}`,
      LARDER_COPIER_SERVER_NAME: `${NAMES.copier}.${RELEASE}.svc`,
      LARDER_COPIER_TOKEN_FILE: token,
      LARDER_COPY_RETRY_BASE: '200ms',
      ...settings,
    };
    const first = startLeader(api, env);
    const copier = new FakeCopier(await certificateOfCopier(client));
    await copier.listen(port);
    const bench = new ControllerBench(api, client, copier, env);
    bench.#leaders.push(first);
    await bench.makeNode('node-1', 'amd64');
    return bench;
  }

  /** A replica in a process of its own, as in a cluster: it competes for the lease. */
  async startReplica(name: string): Promise<Replica> {
    const env = { ...this.#env, KUBECONFIG: await this.kubeconfig(), LARDER_POD_NAME: name };
    return Replica.start({ ...env, LARDER_METRICS_LISTEN: `127.0.0.1:${await freeLoopbackPort()}` });
  }

  get leader(): Leader | undefined {
    return this.#leaders.at(-1);
  }

  /** Path of an administrator's kubeconfig. */
  kubeconfig(): Promise<string> {
    return this.#api.kubeconfig();
  }

  /** A connection of a user without any rights. */
  connect(user: TestUser): Connection {
    return this.#api.connect(user);
  }

  /** Starts another leader without stopping the former one. */
  lead(settings: Readonly<Record<string, string>> = {}): Leader {
    const leader = startLeader(this.#api, { ...this.#env, ...settings });
    this.#leaders.push(leader);
    return leader;
  }

  async stop(): Promise<void> {
    for (const leader of this.#leaders) await leader.stop();
    this.copier.close();
    await this.#api.stop();
  }

  async makeNode(name: string, architecture: string): Promise<void> {
    await this.client.create(nodes, { metadata: { name } });
    const body = { status: { nodeInfo: { operatingSystem: 'linux', architecture } } };
    await this.client.patch(nodes, { name }, { type: 'merge', body }, { subresource: 'status' });
  }

  async makePod(
    name: string,
    image: string,
    { namespace = 'team-a', pullSecrets = [] as readonly string[] } = {},
  ): Promise<void> {
    const imagePullSecrets = pullSecrets.map((secret) => ({ name: secret }));
    const spec = { containers: [{ name: 'main', image }], imagePullSecrets };
    await this.client.create(pods, { metadata: { name, namespace }, spec });
  }

  /** Writes the status that the kubelet would report for a running pod. */
  async runPod(name: string, imageID: string, namespace = 'team-a'): Promise<void> {
    const containerStatuses = [
      { name: 'main', ready: true, restartCount: 0, image: 'of-the-spec', imageID, state: { running: {} } },
    ];
    const body = { status: { phase: 'Running', containerStatuses } };
    await this.client.patch(pods, { name, namespace }, { type: 'merge', body }, { subresource: 'status' });
  }

  async removePod(name: string, namespace = 'team-a'): Promise<void> {
    await this.client.delete(pods, { name, namespace });
  }

  /** Writes as a user with `kubectl apply` would. */
  async applyImage(name: string, spec: object): Promise<void> {
    const body = { metadata: { name }, spec };
    await this.client.patch(imageRecords, { name }, { type: 'apply', body, fieldManager: 'a-user' });
  }

  /** Waits until the CachedImage is as described. */
  async becomes(name: string, what: string, holds: (image: CachedImage) => boolean): Promise<CachedImage> {
    let seen: CachedImage | undefined;
    return waitFor(
      `${name} to be ${what}`,
      async () => {
        seen = (await this.client.get(imageRecords, { name })).image;
        return holds(seen) && seen;
      },
      { deadlineMs: 10_000, dump: () => Promise.resolve(JSON.stringify(seen, undefined, 2)) },
    );
  }

  async isGone(name: string): Promise<void> {
    const exists = async (): Promise<boolean> => {
      const { items } = await this.client.list(imageRecords);
      return items.some(({ metadata }) => metadata.name === name);
    };
    await waitFor(`${name} to be gone`, async () => !(await exists()), { deadlineMs: 10_000 });
  }
}

export const readyBecause = (reason: string) => (image: CachedImage) =>
  findCondition(image.status?.conditions, 'Ready')?.reason === reason;

function startLeader(api: ApiServer, env: Record<string, string>): Leader {
  const stop = new AbortController();
  const fence = { lost: false };
  const done = lead(
    {
      settings: loadConfig(controllerConfig, env),
      client: new KubeClient(api.connect(), 'larder-controller'),
      assertLeader: () => {
        if (fence.lost) throw new Error('another process leads');
      },
      metrics: controllerMetrics(new Metrics('controller')),
      clock: systemClock,
      log: silentLogger,
    },
    stop.signal,
  );
  return {
    fence,
    stop: async () => {
      stop.abort(new Error('the test is over'));
      await done;
    },
  };
}

async function certificateOfCopier(client: KubeClient): Promise<{ cert: Buffer; key: Buffer }> {
  const pair = await waitFor(
    'the certificate of the copier',
    async () => (await client.get(secrets, { name: NAMES.copierTls, namespace: RELEASE })).data,
    { deadlineMs: 10_000 },
  );
  const decoded = (key: string): Buffer => Buffer.from(pair[key] ?? '', 'base64');
  return { cert: decoded('tls.crt'), key: decoded('tls.key') };
}

function webhookConfiguration(): MutatingWebhookConfiguration {
  return {
    metadata: { name: NAMES.webhookConfiguration },
    webhooks: [
      {
        name: 'pods.larder.dev',
        admissionReviewVersions: ['v1'],
        sideEffects: 'None',
        failurePolicy: 'Ignore',
        clientConfig: { service: { name: NAMES.webhook, namespace: RELEASE } },
        namespaceSelector: { matchLabels: { nothing: 'has-this' } },
      },
    ],
  };
}

/** A controller process, which can be frozen and killed. */
export class Replica {
  readonly #child: ChildProcess;
  readonly #metricsAddress: string;
  #output = '';

  private constructor(child: ChildProcess, metricsAddress: string) {
    this.#child = child;
    this.#metricsAddress = metricsAddress;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
  }

  static async start(env: Readonly<Record<string, string>>): Promise<Replica> {
    const main = join(import.meta.dirname, '../../controller/main.ts');
    const child = spawn(process.execPath, [main], {
      env: { PATH: process.env['PATH'], ...env },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await once(child, 'spawn');
    return new Replica(child, env['LARDER_METRICS_LISTEN'] ?? '');
  }

  /** Its log so far. */
  get log(): string {
    return this.#output;
  }

  async logs(message: string, deadlineMs = 30_000): Promise<void> {
    await waitFor(`the log to say: ${message}`, () => Promise.resolve(this.#output.includes(message)), {
      deadlineMs,
      dump: () => Promise.resolve(this.#output.slice(-2_000)),
    });
  }

  /** How many of its write requests the API server has answered. */
  async writes(): Promise<number> {
    const metrics = await (await fetch(`http://${this.#metricsAddress}/metrics`)).text();
    const answers = metrics.matchAll(
      /^larder_kube_requests_total\{method="(\w+)",status="2\d\d".*\} (\d+)$/gm,
    );
    return [...answers].reduce((sum, [, method, count]) => sum + (method === 'GET' ? 0 : Number(count)), 0);
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }
}
