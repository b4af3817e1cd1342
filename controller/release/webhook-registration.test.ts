import fastJsonPatch from 'fast-json-patch';
import type { MutatingWebhookConfiguration } from '../../platform/kube/resource.ts';
import { registrationPatch } from './webhook-registration.ts';

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
    const patch = registrationPatch(before, { bundle: 'the bundle' }) as Parameters<
      typeof fastJsonPatch.applyPatch
    >[1];
    const after = fastJsonPatch.applyPatch(before, patch, true, false).newDocument;
    expect(after).toEqual(configuration(WANTED, WANTED, WANTED));
    expect(patch).toHaveLength(4);
  });

  it('is empty when all have it', () => {
    expect(registrationPatch(configuration(WANTED, WANTED), { bundle: 'the bundle' })).toEqual([]);
  });
});

describe('the patch of the path', () => {
  const service = { name: 'larder-webhook', namespace: 'larder' };
  const calling = (...paths: (string | undefined)[]): MutatingWebhookConfiguration => {
    const { webhooks = [] } = configuration(...paths.map(() => WANTED));
    return {
      webhooks: webhooks.map((webhook, index) => {
        const path = paths[index];
        const clientConfig = { ...webhook.clientConfig, service: { ...service, ...(path ? { path } : {}) } };
        return { ...webhook, clientConfig };
      }),
    };
  };

  it('gives every webhook the path, whatever it had', () => {
    const before = calling(undefined, '/mutate', '/mutate/token');
    const patch = registrationPatch(before, { bundle: 'the bundle', path: '/mutate/token' }) as Parameters<
      typeof fastJsonPatch.applyPatch
    >[1];
    const after = fastJsonPatch.applyPatch(before, patch, true, false).newDocument;
    expect(after).toEqual(calling('/mutate/token', '/mutate/token', '/mutate/token'));
  });

  it('leaves alone a webhook that is called by a URL, and the bundle of somebody else', () => {
    expect(registrationPatch(configuration('b3RoZXI='), { path: '/mutate/token' })).toEqual([]);
  });
});
