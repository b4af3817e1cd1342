import { RULES } from '../test/fakes/rules.ts';
import { placeWithoutProxy } from './pod-place.ts';

const hasProxy = (node: string): boolean => node === 'node-1';

function place(spec: object): string | undefined {
  return placeWithoutProxy({ spec }, RULES, hasProxy);
}

function required(...nodeSelectorTerms: object[]): object {
  return {
    affinity: {
      nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } },
    },
  };
}

const byName = (...values: string[]) => ({ matchFields: [{ key: 'metadata.name', operator: 'In', values }] });
const byLabel = (key: string, ...values: string[]) => ({
  matchExpressions: [{ key, operator: 'In', values }],
});

describe('a pod that can only run where no proxy is', () => {
  it.each([
    ['made for Windows', { os: { name: 'windows' } }],
    ['selects Windows nodes', { nodeSelector: { 'kubernetes.io/os': 'windows' } }],
    ['requires Windows nodes', required(byLabel('kubernetes.io/os', 'windows'))],
    ['bound to a node without a proxy', { nodeName: 'virtual-1' }],
    ["a DaemonSet's on a node without a proxy", required(byName('virtual-1'))],
    ['selects virtual nodes', { nodeSelector: { type: 'virtual-kubelet' } }],
    ['requires virtual nodes', required(byLabel('type', 'virtual-kubelet'))],
    [
      'has no alternative that helps',
      required(byLabel('type', 'virtual-kubelet'), byLabel('kubernetes.io/os', 'windows')),
    ],
  ])('%s', (_, spec) => {
    expect(place(spec)).toEqual(expect.any(String));
  });
});

describe('a pod that may run where a proxy is', () => {
  it.each([
    ['says nothing', {}],
    ['made for Linux', { os: { name: 'linux' }, nodeSelector: { 'kubernetes.io/os': 'linux' } }],
    ['bound to a node with a proxy', { nodeName: 'node-1' }],
    ["a DaemonSet's on a node with a proxy", required(byName('node-1'))],
    ['one of its nodes has a proxy', required(byName('virtual-1', 'node-1'))],
    ['selects other labels', { nodeSelector: { disk: 'ssd' } }],
    ['allows both systems', required(byLabel('kubernetes.io/os', 'windows', 'linux'))],
    ['has an alternative', required(byLabel('type', 'virtual-kubelet'), byLabel('disk', 'ssd'))],
    ['has a malformed affinity', { affinity: { nodeAffinity: 7 }, nodeSelector: 3, os: 'x', nodeName: {} }],
  ])('%s', (_, spec) => {
    expect(place(spec)).toBeUndefined();
  });

  it('has no spec at all', () => {
    expect(placeWithoutProxy({ spec: null }, RULES, hasProxy)).toBeUndefined();
  });
});
