import fastJsonPatch from 'fast-json-patch';
import type { MutatingWebhookConfiguration } from '../../platform/kube/resource.ts';
import { bundlePatch } from './ca-bundle.ts';

function configuration(...bundles: (string | undefined)[]): MutatingWebhookConfiguration {
  return {
    webhooks: bundles.map((caBundle, index) => ({
      name: `${String(index)}.larder.dev`,
      admissionReviewVersions: ['v1'],
      sideEffects: 'None',
      clientConfig: caBundle === undefined ? {} : { caBundle },
    })),
  };
}

const WANTED = Buffer.from('the bundle').toString('base64');

describe('the patch of the caBundle', () => {
  it('gives the bundle to the webhooks that lack it, and leaves the others', () => {
    const before = configuration(undefined, WANTED, 'b3RoZXI=');
    const patch = bundlePatch(before, 'the bundle') as Parameters<typeof fastJsonPatch.applyPatch>[1];
    const after = fastJsonPatch.applyPatch(before, patch, true, false).newDocument;
    expect(after).toEqual(configuration(WANTED, WANTED, WANTED));
    expect(patch).toHaveLength(4);
  });

  it('is empty when all have it', () => {
    expect(bundlePatch(configuration(WANTED, WANTED), 'the bundle')).toEqual([]);
  });
});
