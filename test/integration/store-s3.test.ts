/** Images in a bucket: what the chart renders for it, with the real registry program and an S3 server. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { loadConfig } from '../../platform/config.ts';
import { deleteManifest, getManifest } from '../../registry/client/manifests.ts';
import { headBlob } from '../../registry/client/blobs.ts';
import { digestOf } from '../../registry/core/digest.ts';
import { storeConfig } from '../../store/config.ts';
import { freeLoopbackPort } from '../../platform/ports.ts';
import { buildTool } from '../cluster/tools.ts';
import { waitFor } from '../cluster/wait.ts';
import { StoreBench } from '../envtest/store.ts';
import { testImage } from '../fakes/images.ts';
import { render } from '../larder/render.ts';

const KEYS = { AWS_ACCESS_KEY_ID: 'larder', AWS_SECRET_ACCESS_KEY: 'secret' };
const { signal } = new AbortController();

interface StatefulSet {
  readonly kind: string;
  readonly spec: {
    readonly volumeClaimTemplates?: readonly object[];
    readonly template: {
      readonly spec: {
        readonly containers: readonly {
          readonly env: readonly { readonly name: string; readonly value: string }[];
          readonly envFrom?: readonly object[];
        }[];
      };
    };
  };
}

async function renderStore(s3: object): Promise<StatefulSet> {
  const objects = await render<StatefulSet>({ store: { s3 } });
  const found = objects.find(({ kind }) => kind === 'StatefulSet');
  if (!found) throw new Error('the chart renders no StatefulSet');
  return found;
}

describe('a bucket in the values', () => {
  let server: ChildProcess;
  let endpoint: string;
  let store: StoreBench;
  let rendered: StatefulSet;

  beforeAll(async () => {
    const port = await freeLoopbackPort();
    endpoint = `http://127.0.0.1:${port}`;
    const flags = ['-backend', 'memory', '-host', `127.0.0.1:${port}`, '-initialbucket', 'images'];
    server = spawn(join(await buildTool('gofakes3'), 'gofakes3'), flags, { stdio: 'ignore' });
    const answers = async (): Promise<boolean> => (await fetch(endpoint)).ok;
    await waitFor('the S3 server answers', answers, { deadlineMs: 20_000 });
    const parameters = { rootdirectory: '/larder' };
    const bucket = {
      bucket: 'images',
      region: 'eu-west-1',
      endpoint,
      secretName: 'bucket-login',
      parameters,
    };
    rendered = await renderStore(bucket);
    const env = rendered.spec.template.spec.containers[0]?.env ?? [];
    const { storage } = loadConfig(
      storeConfig,
      Object.fromEntries(env.map(({ name, value }) => [name, value])),
    );
    store = await StoreBench.start(storage, KEYS);
  }, 600_000);

  afterAll(async () => {
    await store.stop();
    server.kill();
    await once(server, 'exit');
  });

  it('takes the place of a volume, and its keys come from a Secret', () => {
    expect(rendered.spec.volumeClaimTemplates).toBeUndefined();
    const [container] = rendered.spec.template.spec.containers;
    expect(container?.envFrom).toEqual([{ secretRef: { name: 'bucket-login' } }]);
  });

  it('holds what is stored, gives it to the reader, and loses what is collected', async () => {
    const [kept, removed] = [testImage(['kept']), testImage(['removed'])];
    await store.push('s3/app', kept, 'kept');
    await store.push('s3/app', removed, 'removed');
    const listed = await (await fetch(`${endpoint}/images?list-type=2&prefix=larder/docker`)).text();
    expect(listed).toContain('larder/docker/registry/v2/repositories/s3/app/_manifests/tags/kept/');
    const reader = store.client('reader', 's3/app');
    expect((await getManifest(reader, { tag: 'removed' }, { signal })).digest).toBe(removed.root.digest);
    const writer = store.client('writer', 's3/app');
    await deleteManifest(writer, { digest: removed.root.digest }, signal);
    const { volume, lastCollection } = await store.collect();
    expect([volume, lastCollection?.error, lastCollection?.freedBytes]).toEqual([null, undefined, null]);
    expect(await headBlob(reader, digestOf(Buffer.from('removed')), signal)).toBeUndefined();
    expect(await headBlob(reader, digestOf(Buffer.from('kept')), signal)).toBeDefined();
    expect((await getManifest(reader, { tag: 'kept' }, { signal })).digest).toBe(kept.root.digest);
  });
});

it.each([
  ['without a region', { bucket: 'images' }, 'region'],
  ['with its keys in the values', { parameters: { secretkey: 'k3y' } }, 'secretkey'],
  ['that cannot be a name', { bucket: 'My Images', region: 'eu-west-1' }, 'bucket'],
])('a bucket %s is refused', async (_, s3, named) => {
  await expect(renderStore(s3)).rejects.toThrow(named);
});
