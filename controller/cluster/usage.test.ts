import fc from 'fast-check';
import { cachedImageName } from '../../api/names.ts';
import { parseReference } from '../../registry/core/reference.ts';
import { viewPod } from './pod-view.ts';
import { pod, SCOPE } from '../test-objects.ts';
import { UsageIndex } from './usage.ts';

const NGINX = cachedImageName(parseReference('nginx'));
const APP = cachedImageName(parseReference('ghcr.io/acme/app:7'), 'team-a');

describe('the index of usage', () => {
  it('tells which images a pod touches when it comes, changes and goes', () => {
    const index = new UsageIndex(SCOPE);
    index.setNamespace('team-a', true);
    expect(index.setPod('team-a/web', viewPod(pod('nginx')))).toEqual(new Set([NGINX]));
    const spec = {
      imagePullSecrets: [{ name: 'regcred' }],
      containers: [{ name: 'a', image: 'ghcr.io/acme/app:7' }],
    };
    expect(index.setPod('team-a/web', viewPod(pod('', { spec })))).toEqual(new Set([NGINX, APP]));
    expect(index.of(NGINX)).toBeUndefined();
    expect(index.setPod('team-a/web', undefined)).toEqual(new Set([APP]));
    expect([...index.names()]).toEqual([]);
  });

  it('counts pods and those that wait, and unites namespaces and pull secrets', () => {
    const index = new UsageIndex(SCOPE);
    const use = (key: string, secret: string, phase: string): void => {
      const spec = {
        imagePullSecrets: [{ name: secret }],
        containers: [{ name: 'a', image: 'ghcr.io/acme/app:7' }],
      };
      index.setPod(key, viewPod(pod('', { spec, status: { phase } })));
    };
    index.setNamespace('team-a', true);
    use('team-a/one', 'zeta', 'Running');
    use('team-a/two', 'alpha', 'Pending');
    expect(index.of(APP)).toMatchObject({
      tenant: 'team-a',
      pods: 2,
      waitingPods: 1,
      namespaces: ['team-a'],
      pullSecrets: ['alpha', 'zeta'],
    });
  });

  it('follows a namespace that asks for the cache and stops asking', () => {
    const index = new UsageIndex(SCOPE);
    expect(index.setPod('team-a/web', viewPod(pod('nginx')))).toEqual(new Set());
    expect(index.setNamespace('team-a', true)).toEqual(new Set([NGINX]));
    expect(index.of(NGINX)?.pods).toBe(1);
    expect(index.setNamespace('team-a', true)).toEqual(new Set());
    expect(index.setNamespace('team-a', false)).toEqual(new Set([NGINX]));
    expect(index.of(NGINX)).toBeUndefined();
  });

  it('is in the end what a fresh index says, whatever happened on the way', () => {
    const change = fc.record({
      key: fc.constantFrom('team-a/1', 'team-a/2', 'team-b/1', 'team-b/2'),
      image: fc.constantFrom(undefined, 'nginx', 'redis:7', 'ghcr.io/acme/app:7'),
      secret: fc.constantFrom(undefined, 'one', 'two'),
      toggle: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
        const followed = new UsageIndex(SCOPE);
        const pods = new Map<string, ReturnType<typeof viewPod>>();
        const optedIn = new Map<string, boolean>();
        for (const { key, image, secret, toggle } of changes) {
          const namespace = key.slice(0, key.indexOf('/'));
          const spec = {
            containers: [{ name: 'a', image }],
            ...(secret ? { imagePullSecrets: [{ name: secret }] } : {}),
          };
          const view = image && viewPod(pod('', { metadata: { namespace }, spec }));
          pods.set(key, view || undefined);
          followed.setPod(key, view || undefined);
          if (toggle) optedIn.set(namespace, !(optedIn.get(namespace) ?? false));
          followed.setNamespace(namespace, optedIn.get(namespace) ?? false);
        }
        const fresh = new UsageIndex(SCOPE);
        for (const [namespace, asks] of optedIn) fresh.setNamespace(namespace, asks);
        for (const [key, view] of pods) fresh.setPod(key, view);
        const all = (index: UsageIndex): unknown => [...index.names()].sort().map((name) => index.of(name));
        expect(all(followed)).toEqual(all(fresh));
      }),
    );
  });
});
