import { once } from 'node:events';
import { mkdtemp, readFile, rename, rm, symlink, writeFile, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { Agent, request } from 'undici';
import { callerPath } from '../api/admission-caller.ts';
import { httpServer, type HttpServerComponent } from '../platform/http-server.ts';
import { silentLogger } from '../platform/log.ts';
import { Metrics } from '../platform/metrics.ts';
import type { Running } from '../platform/run.ts';
import { readTlsFolder } from '../platform/tls-files.ts';
import { CLUSTER_STATE } from '../test/fakes/cluster-state.ts';
import { createCa, issueServerCertificate, type KeyPairPem } from '../platform/x509.ts';
import { admissionMetrics } from './admission-metrics.ts';
import type { ClusterState } from './rewrite.ts';
import { webhookApp } from './server.ts';

const NAME = 'larder-webhook.larder.svc';
const TOKEN = 'a'.repeat(48);

function reviewOf(object: unknown, extra: object = {}): object {
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: 'u1',
      operation: 'CREATE',
      resource: { group: '', version: 'v1', resource: 'pods' },
      namespace: 'team-a',
      object,
      ...extra,
    },
  };
}

const POD = { metadata: { name: 'p' }, spec: { containers: [{ name: 'app', image: 'nginx:1' }] } };

describe('the webhook over TLS', () => {
  let folder: string;
  let ca: KeyPairPem;
  let server: HttpServerComponent;
  let running: Running[];
  let agent: Agent;
  let refresh: () => Promise<void>;
  const metrics = new Metrics('webhook');
  let callerToken: string | undefined = TOKEN;
  let clusterState: () => ClusterState | undefined = () => CLUSTER_STATE;

  /** Writes as the kubelet does: a folder of its own, then the link is swapped. */
  async function mount(version: string): Promise<void> {
    const pair = await issueServerCertificate(ca, [NAME], 10, Date.now());
    await mkdir(join(folder, version));
    await writeFile(join(folder, version, 'tls.crt'), pair.cert);
    await writeFile(join(folder, version, 'tls.key'), pair.key);
    await symlink(version, join(folder, '..data_tmp'));
    await rename(join(folder, '..data_tmp'), join(folder, '..data'));
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'larder-webhook-'));
    ca = await createCa('larder', 10, Date.now());
    await mount('..1');
    for (const file of ['tls.crt', 'tls.key']) await symlink(`..data/${file}`, join(folder, file));
    const tls = await readTlsFolder(folder, silentLogger);
    refresh = () => tls.refresh();
    const app = webhookApp({
      clusterState: () => clusterState(),
      callerToken: () => callerToken,
      metrics: admissionMetrics(metrics, () => true),
      log: silentLogger,
    });
    server = httpServer({ name: 'webhook', handler: app, addresses: [{ host: '127.0.0.1', port: 0 }], tls });
    const { signal } = new AbortController();
    running = [await tls.component('certificate').start(signal), await server.start(signal)];
    agent = new Agent({ connect: { ca: ca.cert, servername: NAME } });
  });

  afterAll(async () => {
    await agent.close();
    for (const part of running.reverse()) await part.stop();
    await rm(folder, { recursive: true });
  });

  async function post(
    body: string,
    headers: Record<string, string> = { 'content-type': 'application/json' },
    path = callerPath(TOKEN),
  ) {
    const url = `https://127.0.0.1:${server.bound[0]?.port}${path}`;
    const answer = await request(url, { method: 'POST', dispatcher: agent, body, headers });
    return { status: answer.statusCode, body: (await answer.body.json()) as Record<string, unknown> };
  }

  async function review(body: object, path?: string) {
    const answer = await post(JSON.stringify(body), undefined, path);
    expect(answer.status).toBe(200);
    const { patch, ...response } = answer.body['response'] as Record<string, unknown>;
    const decoded =
      typeof patch === 'string'
        ? (JSON.parse(Buffer.from(patch, 'base64').toString()) as unknown)
        : undefined;
    return { ...response, patch: decoded };
  }

  describe('gives the name of a private image', () => {
    const PRIVATE = {
      metadata: { name: 'p' },
      spec: {
        imagePullSecrets: [{ name: 'login' }],
        containers: [{ name: 'app', image: 'ghcr.io/acme/app:7' }],
      },
    };
    const imagesIn = async (path: string): Promise<unknown[]> => {
      const { patch = [] } = (await review(reviewOf(PRIVATE), path)) as {
        patch?: { path: string; value: unknown }[];
      };
      return patch.filter((step) => step.path.endsWith('/image')).map(({ value }) => value);
    };

    afterEach(() => {
      callerToken = TOKEN;
    });

    it('to the API server', async () => {
      expect(await imagesIn(callerPath(TOKEN))).toEqual([
        expect.stringContaining('localhost:7439/team-a.tenant.'),
      ]);
    });

    it.each([
      ['who does not know the token', '/mutate', TOKEN],
      ['who calls before there is a path', '/', TOKEN],
      ['who guesses', callerPath('b'.repeat(48)), TOKEN],
      ['who knows a part of it', callerPath(TOKEN.slice(1)), TOKEN],
      ['anybody while no token is known', callerPath('undefined'), undefined],
    ])('not to somebody %s', async (_, path, token) => {
      callerToken = token;
      expect(await imagesIn(path)).toEqual([]);
    });

    it('only: public images are sent through the cache for whoever asks', async () => {
      expect(await review(reviewOf(POD), '/mutate')).toMatchObject({ patchType: 'JSONPatch' });
    });
  });

  it('answers with a JSON patch', async () => {
    expect(await review(reviewOf(POD))).toEqual({
      uid: 'u1',
      allowed: true,
      patchType: 'JSONPatch',
      patch: expect.arrayContaining([
        {
          op: 'replace',
          path: '/spec/containers/0/image',
          value: 'localhost:7439/docker.io/library/nginx:1',
        },
        { op: 'add', path: '/metadata/labels', value: { 'larder.dev/rewritten': 'true' } },
      ]) as unknown,
    });
  });

  it('warns of what was skipped, and why, when the pod asks for it', async () => {
    const spec = {
      containers: [
        { name: 'app', image: 'NOT AN IMAGE' },
        { name: 'local', image: 'localhost:5000/x' },
      ],
    };
    const explain = { annotations: { 'larder.dev/explain': 'true' } };
    expect(await review(reviewOf({ metadata: explain, spec }))).toMatchObject({
      allowed: true,
      patch: undefined,
      warnings: [
        expect.stringMatching(
          /^larder: app: image "NOT AN IMAGE" is not sent through the cache: .* \(Unparsable\)$/,
        ),
        'larder: local: image "localhost:5000/x" is not sent through the cache: its registry is on the node itself (LocalImage)',
      ],
    });
    // Unasked, only what is a mistake.
    expect(await review(reviewOf({ spec }))).toHaveProperty('warnings', [
      expect.stringContaining('(Unparsable)'),
    ]);
  });

  it('admits everything as it is while nothing is known of the cluster', async () => {
    clusterState = () => undefined;
    expect(await review(reviewOf(POD))).toEqual({ uid: 'u1', allowed: true, patch: undefined });
    clusterState = () => CLUSTER_STATE;
  });

  it.each([
    ['a deletion', { operation: 'DELETE', object: null, oldObject: POD }],
    ['what is no pod', { resource: { group: 'apps', version: 'v1', resource: 'deployments' } }],
    ['a review without an object', { object: undefined }],
  ])('admits %s as it is', async (_what, extra) => {
    expect(await review(reviewOf(POD, extra))).toEqual({ uid: 'u1', allowed: true, patch: undefined });
  });

  it('admits a pod as it is when deciding fails', async () => {
    clusterState = () => {
      throw new Error('broken');
    };
    expect(await review(reviewOf(POD))).toEqual({ uid: 'u1', allowed: true, patch: undefined });
    clusterState = () => CLUSTER_STATE;
    expect(await metrics.registry.metrics()).toMatch(
      /admission_reviews_total\{[^}]*outcome="failed"[^}]*\} 1/,
    );
  });

  it('rewrites a pod of 3 MB', async () => {
    const env = [{ name: 'BIG', value: 'x'.repeat(3_000_000) }];
    const pod = { ...POD, spec: { containers: [{ name: 'app', image: 'nginx:1', env }] } };
    expect(await review(reviewOf(pod))).toMatchObject({ patchType: 'JSONPatch' });
  });

  it.each([
    ['no JSON', '{', 400],
    ['no object', '[]', 400],
    ['no AdmissionReview', '{"kind":"Pod"}', 400],
    ['another version', JSON.stringify({ ...reviewOf(POD), apiVersion: 'admission.k8s.io/v1beta1' }), 400],
    ['no request', '{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}', 400],
    ['more than 8 MB', JSON.stringify(reviewOf({ x: 'x'.repeat(9_000_000) })), 413],
  ])('refuses a body that is %s', async (_what, body, status) => {
    expect(await post(body)).toEqual({ status, body: { message: expect.any(String) as unknown } });
  });

  it('refuses a body that is not declared as JSON', async () => {
    expect((await post(JSON.stringify(reviewOf(POD)), { 'content-type': 'text/plain' })).status).toBe(415);
  });

  it('serves a rotated certificate without a new start', async () => {
    const before = await servedSerial();
    await mount('..2');
    await refresh();
    expect(await servedSerial()).not.toBe(before);
    expect(await review(reviewOf(POD))).toMatchObject({ allowed: true });
  });

  it('keeps serving the good certificate when a broken one is mounted', async () => {
    const before = await servedSerial();
    await writeFile(join(folder, '..2', 'tls.crt'), await readFile(join(folder, '..1', 'tls.crt')));
    await refresh();
    expect(await servedSerial()).toBe(before);
  });

  async function servedSerial(): Promise<string> {
    const socket = connect({
      host: '127.0.0.1',
      port: server.bound[0]?.port ?? 0,
      ca: ca.cert,
      servername: NAME,
    });
    await once(socket, 'secureConnect');
    const { serialNumber } = socket.getPeerCertificate();
    socket.destroy();
    return serialNumber;
  }
});
