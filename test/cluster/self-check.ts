/** Checks the cluster harness by using every part of it once: `./cluster self-check`. */
import assert from 'node:assert/strict';
import type { Cluster } from './cluster.ts';
import { CommandError } from './command.ts';
import { leftovers } from './lab.ts';
import type { Slot } from './slot.ts';
import { startCluster } from './start.ts';
import { staticVolume } from './volumes.ts';

let last = performance.now();
function done(what: string): void {
  const now = performance.now();
  process.stdout.write(`${((now - last) / 1000).toFixed(2).padStart(6)} s  ${what}\n`);
  last = now;
}

interface Pod {
  readonly status: {
    readonly phase: string;
    readonly podIP?: string;
    readonly containerStatuses?: { readonly ready: boolean }[];
  };
}

function pod(name: string, node: string, image: string, volumes: readonly { name: string }[] = []): object {
  const volumeMounts = volumes.map((volume) => ({ name: volume.name, mountPath: `/${volume.name}` }));
  const container = { name: 'main', image, imagePullPolicy: 'Always', volumeMounts };
  const nodeSelector = { 'kubernetes.io/hostname': node };
  const spec = { nodeSelector, terminationGracePeriodSeconds: 0, containers: [container], volumes };
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'default' }, spec };
}

async function ready(cluster: Cluster, name: string): Promise<void> {
  await cluster.waitFor(
    `pod ${name} is ready`,
    async () => {
      const { status } = await cluster.read<Pod>('v1/pods', { namespace: 'default', name });
      return status.containerStatuses?.every((container) => container.ready);
    },
    { deadlineMs: 30_000 },
  );
}

async function pullsFromBothRegistries(cluster: Cluster): Promise<void> {
  const plain = await cluster.pushImage({
    site: 'plain',
    repository: 'team/app',
    tag: '1',
    layers: [1 << 20, 5 << 20],
  });
  const tls = await cluster.pushImage({ site: 'example', repository: 'team/app', tag: '1' });
  assert.equal(plain.reference, `${cluster.plan.internet}.1:5000/team/app:1`);
  assert.equal(tls.reference, 'registry.example.test/team/app:1');
  done('two multi-arch images pushed');

  const site = cluster.internet.site('plain');
  const mark = site.mark();
  await cluster.node(1).pull(plain.reference);
  const amd64 = plain.platforms['linux/amd64'];
  const served = site.accessLog(mark).filter(({ method, status }) => method === 'GET' && status === 200);
  const bytes = served.reduce((sum, entry) => sum + entry.bytes, 0);
  assert.ok(amd64 && bytes >= amd64.bytes, `the access log has ${bytes} of ${amd64?.bytes} bytes`);
  assert.match(served[0]?.userAgent ?? '', /^containerd/);
  done('pulled through the CRI over plain http, and seen in the access log');

  await cluster.node(2).pull(tls.reference);
  await cluster.node(2).pull(`${tls.repository}@${tls.digest}`);
  assert.ok((await cluster.node(2).images()).some(({ repo_tags }) => repo_tags?.includes(tls.reference)));
  await cluster.node(2).removeImage(tls.reference);
  assert.ok(!(await cluster.node(2).images()).some(({ repo_tags }) => repo_tags?.includes(tls.reference)));
  done('pulled over TLS by name and by digest, and removed');

  await cluster.apply([pod('one', 'node-1', tls.reference), pod('two', 'node-2', plain.reference)]);
  await Promise.all([ready(cluster, 'one'), ready(cluster, 'two')]);
  assert.match((await cluster.kubectl(['logs', 'two'])).stdout, /^seed team\/app:1/);
  done('a pod of each runs on its node, and its log is read');
}

async function bindsVolume(cluster: Cluster): Promise<void> {
  const claim = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: 'data', namespace: 'default' },
    spec: {
      storageClassName: '',
      accessModes: ['ReadWriteOnce'],
      resources: { requests: { storage: '1Gi' } },
    },
  };
  const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }];
  await cluster.apply([
    staticVolume({ name: 'data', node: 'node-2', storage: '1Gi' }),
    claim,
    pod('three', 'node-2', 'registry.example.test/team/app:1', volumes),
  ]);
  await ready(cluster, 'three');
  done('a pod with a volume of a claim runs');
}

async function requiresLogin(cluster: Cluster): Promise<void> {
  const credentials = { username: 'robot', password: 'hunter2' };
  await cluster.internet.addRegistry({
    name: 'private',
    host: 'private.example.test',
    tls: true,
    credentials,
  });
  const { reference } = await cluster.pushImage({ site: 'private', repository: 'a/b', tag: '1' });
  await assert.rejects(cluster.node(1).pull(reference), CommandError);
  await cluster.node(1).pull(reference, { credentials });
  done('a private registry added; it refuses without the login and serves with it');
}

async function faultsOfLinks(cluster: Cluster): Promise<void> {
  const node = cluster.node(1);
  const { link, registry } = cluster.internet.site('plain');
  const reference = `${registry}/team/app:1`;
  const attempt = (): Promise<unknown> => node.pull(reference, { signal: AbortSignal.timeout(1500) });
  await link.blackHole();
  await assert.rejects(attempt(), { name: 'AbortError' });
  await node.pull('registry.example.test/team/app:1');
  await link.restore();
  await attempt();
  await link.reject();
  await assert.rejects(node.pull(reference), /refused/);
  await link.restore();
  await link.cut();
  await assert.rejects(attempt());
  await link.restore();
  const { reference: big } = await cluster.pushImage({
    site: 'plain',
    repository: 'team/big',
    tag: '1',
    layers: [4 << 20],
  });
  await link.slow(2 << 20);
  const { milliseconds } = await node.pull(big);
  assert.ok(milliseconds > 1500 && milliseconds < 10_000, `6 MB at 2 MiB/s took ${milliseconds} ms`);
  await link.restore();
  done('upstream black-holed (the other one works), refused, cut, slowed to 2 MiB/s, restored');
}

async function names(cluster: Cluster): Promise<void> {
  const resolve = async (server: string, name: string): Promise<string> => {
    const script = `const r = new (require('node:dns').promises.Resolver)({ timeout: 1000, tries: 2 }); r.setServers(['${server}']);
      r.resolve4('${name}').then(([a]) => console.log(a), (e) => console.log(e.code));`;
    return (await cluster.node(2).exec([process.execPath, '-e', script])).stdout.trim();
  };
  assert.equal(await resolve('10.96.0.10', 'kubernetes.default.svc.cluster.local'), '10.96.0.1');
  assert.equal(await resolve('10.96.0.10', 'registry.example.test'), `${cluster.plan.internet}.2`);
  assert.equal(await resolve(cluster.plan.nameServer, 'registry-1.docker.io'), 'ENOTFOUND');
  done('cluster DNS answers behind its Service, and nothing outside exists');
  await cluster.programs.stop('coredns');
  assert.notEqual(await resolve('10.96.0.10', 'registry.example.test'), `${cluster.plan.internet}.2`);
  await cluster.programs.restart('coredns');
  await cluster.waitFor(
    'DNS is back',
    async () => (await resolve('10.96.0.10', 'registry.example.test')).startsWith('10.'),
    {
      deadlineMs: 20_000,
    },
  );
  done('cluster DNS stopped and started again');
}

async function faultsOfPrograms(cluster: Cluster): Promise<void> {
  const quick = ['get', 'nodes', '--request-timeout=1s'];
  cluster.programs.freeze('kube-apiserver');
  await assert.rejects(cluster.kubectl(quick), CommandError);
  cluster.programs.thaw('kube-apiserver');
  await cluster.waitFor('the API server answers again', async () => await cluster.kubectl(quick), {
    deadlineMs: 20_000,
  });
  done('API server frozen and thawed');

  await cluster.programs.stop('kubelet@node-2', 'SIGKILL');
  await cluster.programs.stop('containerd@node-2', 'SIGKILL');
  await cluster.programs.restart('containerd@node-2');
  await cluster.waitFor('containerd answers again', () => cluster.node(2).images(), { deadlineMs: 20_000 });
  await cluster.programs.restart('kubelet@node-2');
  await ready(cluster, 'two');
  done('kubelet and containerd killed and started again; the pod goes on');

  const target = { namespace: 'default', pod: 'two', container: 'main' };
  await cluster.node(2).signalContainer(target, 'STOP');
  await cluster.node(2).signalContainer(target, 'CONT');
  await cluster.node(2).signalContainer(target, 'TERM');
  await cluster.waitFor(
    'the ended container was started again',
    async () => {
      const { status } = await cluster.read<{
        status: { containerStatuses: { restartCount: number }[] };
      }>('v1/pods', { namespace: 'default', name: 'two' });
      return status.containerStatuses.every(({ restartCount }) => restartCount > 0);
    },
    { deadlineMs: 30_000 },
  );
  done("a container's processes frozen, thawed, ended");
}

async function measures(cluster: Cluster): Promise<void> {
  const bytes = await cluster.waitFor(
    'the working set is measured',
    () => cluster.workingSet('default', 'one', 'main'),
    {
      deadlineMs: 30_000,
      intervalMs: 500,
    },
  );
  assert.ok(bytes > 0 && bytes < 64 << 20, `${bytes} bytes`);
  done(`working set of a pod read from the kubelet: ${(bytes / 1024).toFixed(0)} KiB`);
}

/**
 * Prints what has been checked, line by line.
 * @throws {AssertionError} at the first thing that is not as it should be
 */
export async function selfCheck(slot?: Slot): Promise<void> {
  last = performance.now();
  const cluster = await startCluster(slot === undefined ? {} : { slot });
  const { plan } = cluster;
  done(`slot ${plan.slot}: two nodes are Ready`);
  try {
    await pullsFromBothRegistries(cluster);
    await bindsVolume(cluster);
    await requiresLogin(cluster);
    await faultsOfLinks(cluster);
    await names(cluster);
    await faultsOfPrograms(cluster);
    await measures(cluster);
  } finally {
    last = performance.now();
    await cluster.stop();
    done('stopped');
  }
  assert.deepEqual(leftovers(plan), []);
  done('nothing is left');
}
