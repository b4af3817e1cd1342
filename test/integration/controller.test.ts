/** The controller against a real API server and a copier that answers as it is told. */
import { cachedImageName } from '../../api/names.ts';
import { imageRecords } from '../../controller/cluster/resources.ts';
import { findCondition } from '../../platform/kube/conditions.ts';
import { mutatingWebhookConfigurations, namespaces, pods } from '../../platform/kube/resource.ts';
import { parseReference } from '../../registry/core/reference.ts';
import { waitFor } from '../cluster/wait.ts';
import { ControllerBench, NAMES, readyBecause } from '../envtest/controller.ts';
import { FAKE_DIGEST as DIGEST } from '../fakes/copier.ts';

let bench: ControllerBench;

beforeAll(async () => {
  bench = await ControllerBench.start();
}, 300_000);

afterAll(() => bench.stop());

describe('a leader', () => {
  it('makes an image of what a pod uses, has it copied, and says so', async () => {
    await bench.makePod('web', 'nginx:1.27', { pullSecrets: ['regcred'] });
    const name = cachedImageName(parseReference('nginx:1.27'));
    const image = await bench.becomes(name, 'cached', readyBecause('Cached'));
    expect(image.spec).toEqual({ image: 'docker.io/library/nginx:1.27' });
    expect(image.status).toMatchObject({
      observedGeneration: 1,
      digest: DIGEST,
      size: '70 MiB',
      platforms: ['linux/amd64'],
      usedBy: { pods: 1, namespaces: ['team-a'] },
    });
    expect(findCondition(image.status?.conditions, 'UpstreamAvailable')?.status).toBe('True');
    expect(bench.copier.copies).toContainEqual({
      image: 'docker.io/library/nginx:1.27',
      platforms: ['linux/amd64'],
      pullSecrets: [],
    });
  });

  it('fetches a private image with the pull secrets of all its pods', async () => {
    await bench.makePod('app-1', 'ghcr.io/acme/app:7', { pullSecrets: ['one'] });
    const name = cachedImageName(parseReference('ghcr.io/acme/app:7'), 'team-a');
    await bench.becomes(name, 'cached', readyBecause('Cached'));
    await bench.makePod('app-2', 'ghcr.io/acme/app:7', { pullSecrets: ['two'] });
    const image = await bench.becomes(name, 'used twice', ({ status }) => status?.usedBy?.pods === 2);
    expect(image.spec.tenant).toBe('team-a');
    await bench.becomes(name, 'fetched with both', ({ spec }) => spec.pullSecrets?.join() === 'one,two');
  });

  it('shows why upstream refuses, and tries again until it does not', async () => {
    const image = 'docker.io/acme/late:1';
    bench.copier.failures.set(image, {
      type: 'failed',
      reason: 'NotFound',
      message: 'the registry has no such image',
    });
    await bench.makePod('late', image);
    const name = cachedImageName(parseReference(image));
    const failed = await bench.becomes(name, 'refused', readyBecause('NotFound'));
    expect(findCondition(failed.status?.conditions, 'UpstreamAvailable')).toMatchObject({
      status: 'False',
      message: 'the registry has no such image',
    });
    bench.copier.failures.delete(image);
    await bench.becomes(name, 'cached', readyBecause('Cached'));
  });

  it('leaves pods of other namespaces alone, until their namespace asks', async () => {
    await bench.makePod('quiet', 'docker.io/acme/quiet:1', { namespace: 'team-b' });
    const name = cachedImageName(parseReference('docker.io/acme/quiet:1'));
    await bench.makePod('marker', 'docker.io/acme/marker:1');
    await bench.becomes(
      cachedImageName(parseReference('docker.io/acme/marker:1')),
      'cached',
      readyBecause('Cached'),
    );
    await expect(bench.client.get(imageRecords, { name })).rejects.toMatchObject({ status: 404 });
    const body = { metadata: { labels: { 'larder.dev/cache': 'enabled' } } };
    await bench.client.patch(namespaces, { name: 'team-b' }, { type: 'merge', body });
    await bench.becomes(name, 'cached', readyBecause('Cached'));
  });

  it('copies what was made by hand, and forgets users that have gone', async () => {
    await bench.applyImage('by-hand', { image: 'docker.io/acme/tool:2' });
    await bench.becomes('by-hand', 'cached', readyBecause('Cached'));
    await bench.makePod('tool', 'docker.io/acme/tool:2');
    await bench.becomes('by-hand', 'used', ({ status }) => status?.usedBy?.pods === 1);
    await bench.client.delete(pods, { name: 'tool', namespace: 'team-a' });
    const image = await bench.becomes('by-hand', 'unused', ({ status }) => status?.usedBy?.pods === 0);
    expect(image.status?.lastUsedTime).toBeDefined();
    expect(readyBecause('Cached')(image)).toBe(true);
  });

  it('makes anew an image that is deleted while pods use it', async () => {
    const name = cachedImageName(parseReference('nginx:1.27'));
    const before = await bench.client.get(imageRecords, { name });
    await bench.client.delete(imageRecords, { name });
    const uid = before.image.metadata.uid;
    await bench.becomes(name, 'back', (image) => image.metadata.uid !== uid && readyBecause('Cached')(image));
  });

  it('has what is missing copied when a node brings another platform', async () => {
    const name = cachedImageName(parseReference('nginx:1.27'));
    await bench.makeNode('node-2', 'arm64');
    await bench.becomes(
      name,
      'complete for both',
      ({ status }) => status?.platforms?.join() === 'linux/amd64,linux/arm64',
    );
  });

  it('keeps the caBundle of the webhook configuration', async () => {
    const bundle = async (): Promise<string | undefined> => {
      const { webhooks } = await bench.client.get(mutatingWebhookConfigurations, {
        name: NAMES.webhookConfiguration,
      });
      return webhooks?.[0]?.clientConfig.caBundle;
    };
    const first = await waitFor('the caBundle', bundle, { deadlineMs: 5_000 });
    const body = [{ op: 'remove', path: '/webhooks/0/clientConfig/caBundle' }];
    await bench.client.patch(
      mutatingWebhookConfigurations,
      { name: NAMES.webhookConfiguration },
      { type: 'json', body },
    );
    await waitFor('the caBundle to be back', async () => (await bundle()) === first, { deadlineMs: 5_000 });
  });
});

describe('a CachedImage that cannot be', () => {
  const hex = 'a'.repeat(64);

  it.each<[object, RegExp]>([
    [{ image: 'NGINX latest' }, /not an image reference; write it as a pod would, for example docker\.io/],
    [{ image: 'https://ghcr.io/acme/app:1' }, /without a scheme; write registry\.example\.com\/app:1/],
    [{ image: `ghcr.io/acme/app@sha256:${hex}b` }, /digest of image is not one; write sha256: and 64/],
    [{ image: 'nginx:1', platforms: ['linux'] }, /not a platform; write os\/architecture/],
    [{ image: 'nginx:1', tenant: 'Team A' }, /not the name of a namespace; write for example team-a/],
    [{ image: 'nginx:1', pullSecrets: ['regcred'] }, /set tenant to the namespace that holds them/],
    [{}, /image/],
  ])('is refused by the API server, which says what to write: %j', async (spec, message) => {
    await expect(bench.applyImage('wrong', spec)).rejects.toThrow(message);
  });

  it.each<[string, object, RegExp]>([
    ['image', { image: 'docker.io/acme/other:1', tenant: 'team-a' }, /image cannot be changed; make another/],
    [
      'tenant',
      { image: 'docker.io/acme/fixed:1', tenant: 'team-b' },
      /tenant cannot be changed; make another/,
    ],
    ['tenant, which it had', { image: 'docker.io/acme/fixed:1' }, /tenant cannot be changed; make another/],
  ])('is not made of another: its %s stays', async (_, spec, message) => {
    await bench.applyImage('fixed', { image: 'docker.io/acme/fixed:1', tenant: 'team-a' });
    await expect(bench.applyImage('fixed', spec)).rejects.toThrow(message);
  });
});
