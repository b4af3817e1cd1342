import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { clusterCommands, DEPENDANTS, planCheck } from './check-plan.ts';

const ROOT = join(import.meta.dirname, '../..');

describe('make check', () => {
  it('lints and formats the changed files, and runs tests that depend on them', () => {
    expect(planCheck(['docs/metrics.md', 'webhook/mutate.ts'])).toEqual({
      everything: false,
      code: ['webhook/mutate.ts'],
      all: ['docs/metrics.md', 'webhook/mutate.ts'],
      related: ['webhook/mutate.ts', 'test/integration/cert-manager.test.ts'],
      cluster: ['admission', 'bad-input'],
    });
  });

  it('adds nothing to a changed unit test', () => {
    const { related, cluster } = planCheck(['webhook/mutate.test.ts']);
    expect(related).toEqual(['webhook/mutate.test.ts']);
    expect(cluster).toEqual([]);
  });

  it('names each test once, and a changed cluster test first', () => {
    const { cluster } = planCheck([
      'test/e2e/lifecycle/rollout.test.ts',
      'proxy/main.ts',
      'registry/core/digest.ts',
    ]);
    expect(cluster[0]).toBe('lifecycle/rollout');
    expect(new Set(cluster).size).toBe(cluster.length);
  });

  it('knows what everything depends on', () => {
    expect(planCheck(['package-lock.json']).everything).toBe(true);
  });

  it('gives commands for the cluster tests', () => {
    expect(clusterCommands(['life', 'lifecycle/rollout', 'rescue'])).toEqual([
      'make e2e ONLY="life rescue"',
      'make lifecycle ONLY="rollout"',
    ]);
    expect(clusterCommands([])).toEqual([]);
  });

  it.each(Object.entries(DEPENDANTS))(
    'names folders and tests that there are: %s',
    (folder, { integration = [], cluster = [] }) => {
      const files = [
        folder,
        ...integration.map((name) => `test/integration/${name}.test.ts`),
        ...cluster.map((name) => `test/e2e/${name}.test.ts`),
      ];
      expect(files.filter((file) => !existsSync(join(ROOT, file)))).toEqual([]);
    },
  );
});
