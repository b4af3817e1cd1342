/**
 * CachePolicies on a real API server: what they change for images, what their status says, what is refused.
 */
import { rename, writeFile } from 'node:fs/promises';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cachedImageName } from '../../api/names.ts';
import { watchedPolicies, type WatchedPolicy } from '../../controller/cluster/resources.ts';
import { findCondition } from '../../platform/kube/conditions.ts';
import { parseReference } from '../../registry/core/reference.ts';
import { waitFor } from '../cluster/wait.ts';
import { ControllerBench, readyBecause } from '../envtest/controller.ts';

const folder = mkdtempSync(join(tmpdir(), 'larder-policies-'));
const values = join(folder, 'policies.json');
let bench: ControllerBench;

beforeAll(async () => {
  await setValues({ 'of-values': { match: { images: ['quay.io/*'] }, retain: true } });
  bench = await ControllerBench.start({ LARDER_POLICIES_FILE: values, LARDER_DROP_AFTER: '1s' });
}, 300_000);

afterAll(async () => {
  await bench.stop();
  rmSync(folder, { recursive: true });
});

async function setValues(policies: object): Promise<void> {
  await writeFile(`${values}.new`, JSON.stringify(policies));
  await rename(`${values}.new`, values);
}

async function applyPolicy(name: string, spec: object): Promise<void> {
  const body = { apiVersion: 'larder.dev/v1alpha1', kind: 'CachePolicy', metadata: { name }, spec };
  await bench.client.patch(watchedPolicies, { name }, { type: 'apply', body, fieldManager: 'a-user' });
}

async function policyBecomes(
  name: string,
  holds: (policy: WatchedPolicy) => boolean,
): Promise<WatchedPolicy> {
  return waitFor(
    `policy ${name}`,
    async () => {
      const record = await bench.client.get(watchedPolicies, { name });
      return holds(record) && record;
    },
    { deadlineMs: 15_000 },
  );
}

const appliedBecause = (reason: string) => (policy: WatchedPolicy) =>
  findCondition(policy.conditions, 'Applied')?.reason === reason;

describe('a policy', () => {
  const image = 'ghcr.io/acme/app:7';
  const name = cachedImageName(parseReference(image));

  it('sets platforms and expiry of the images that it matches, and is named on them', async () => {
    await bench.makePod('app', image);
    await bench.becomes(name, 'cached', readyBecause('Cached'));
    await applyPolicy('acme', {
      match: { images: ['ghcr.io/acme/*'], namespaces: ['team-*'] },
      platforms: ['linux/arm64'],
      expireAfter: '1h',
    });
    const copied = await bench.becomes(
      name,
      'copied for the policy too',
      ({ status }) => status?.platforms?.join() === 'linux/amd64,linux/arm64',
    );
    expect(copied.status?.policy).toBe('acme');
    const { matchedImages } = await policyBecomes('acme', appliedBecause('Matched'));
    expect(matchedImages).toBe(1);
  });

  it('gives way to a more specific one', async () => {
    await applyPolicy('acme-app', { match: { images: ['ghcr.io/acme/app'] }, retain: true });
    await bench.becomes(name, 'under the other policy', ({ status }) => status?.policy === 'acme-app');
    await policyBecomes('acme', appliedBecause('MatchesNothing'));
  });

  it('keeps for ever what it retains, and lets the rest expire when it said', async () => {
    await bench.removePod('app');
    const kept = await bench.becomes(name, 'unused', ({ status }) => status?.usedBy?.pods === 0);
    expect(kept.status?.expirationTime).toBeUndefined();
    await bench.client.delete(watchedPolicies, { name: 'acme-app' });
    // Nobody uses it, so that a policy for namespaces does not apply, and the default of 30 days does.
    const { status } = await bench.becomes(
      name,
      'to expire',
      (one) => one.status?.expirationTime !== undefined,
    );
    const days =
      (Date.parse(status?.expirationTime ?? '') - Date.parse(status?.lastUsedTime ?? '')) / 86_400_000;
    expect(days).toBeCloseTo(30, 3);
  });

  it('lets what it keeps out of the cache go when no pod that was sent there uses it', async () => {
    const huge = 'ghcr.io/huge/model:1';
    const [hugeName, later] = [huge, 'ghcr.io/huge/other:1'].map((one) =>
      cachedImageName(parseReference(one)),
    );
    await bench.makePod('plain', huge);
    await bench.makePod('sent', `localhost:7439/${huge}`);
    await bench.becomes(hugeName ?? '', 'cached', ({ status }) => status?.usedBy?.pods === 2);
    await applyPolicy('no-models', { match: { images: ['ghcr.io/huge/*'] }, cache: false });
    await bench.becomes(hugeName ?? '', 'kept for one', ({ status }) => status?.usedBy?.pods === 1);
    await bench.makePod('plain-later', 'ghcr.io/huge/other:1');
    await bench.removePod('sent');
    await bench.isGone(hugeName ?? '');
    expect(bench.copier.removals).toContain(huge);
    expect(bench.copier.copies.map((copy) => copy.image)).not.toContain('ghcr.io/huge/other:1');
    await bench.isGone(later ?? '');
  });

  it('has what refers to its images copied along', async () => {
    await applyPolicy('signed', { match: { images: ['ghcr.io/signed/*'] }, referrers: true });
    await bench.makePod('signed', 'ghcr.io/signed/app:1');
    await bench.becomes(
      cachedImageName(parseReference('ghcr.io/signed/app:1')),
      'cached',
      readyBecause('Cached'),
    );
    expect(bench.copier.copies.at(-1)).toMatchObject({ image: 'ghcr.io/signed/app:1', referrers: true });
  });

  it.each([
    [{ expireAfter: '30 days' }, /not a duration; write for example 30s, 1h30m or 30d/],
    [{ platforms: ['linux'] }, /not a platform; write os\/architecture/],
    [{ match: { images: ['nginx'] } }, /a pattern begins with the registry; write docker.io\/library\/nginx/],
    [{ match: { images: ['https://ghcr.io/acme/*'] } }, /neither scheme nor digest/],
    [{ match: { namespaces: ['Team A'] } }, /not a pattern for namespaces/],
    [{ tagPolicy: 'Sometimes' }, /tagPolicy/],
  ])('is refused by the API server when it says %j', async (spec, message) => {
    await expect(applyPolicy('wrong', spec)).rejects.toThrow(message);
  });
});

describe("policies of the chart's values", () => {
  it('are made, changed and removed as the values change', async () => {
    const made = await policyBecomes('of-values', () => true);
    expect(made.policy?.spec).toMatchObject({ match: { images: ['quay.io/*'] }, retain: true });
    await setValues({ another: { match: { images: ['quay.io/acme/*'] } }, broken: { expireAfter: 'soon' } });
    await policyBecomes('another', () => true);
    await waitFor(
      'the policy that the values name no more to be gone',
      async () => {
        const { items } = await bench.client.list(watchedPolicies);
        return !items.some(({ metadata }) => metadata.name === 'of-values');
      },
      { deadlineMs: 15_000 },
    );
  });
});
