/** The story of the README, on a real cluster: what the demo tells is also a test. */
import { sharedCluster } from '../larder/shared-cluster.ts';
import { Story } from '../story/story.ts';

describe('a pod survives the outage of its registry', () => {
  const story = new Story(sharedCluster());

  afterAll(() => story.restore());

  it.each(story.steps.map(({ title, run }) => [title, run] as const))(
    '%s',
    async (_title, run) => {
      const evidence = await run();
      expect(evidence.length).toBeGreaterThan(0);
    },
    180_000,
  );
});
