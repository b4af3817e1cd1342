/** When an image is copied, and when again: each row of the table, by name. */
import type { CachedImage } from '../../api/cached-image.ts';
import {
  cachedImage,
  COPIED,
  copyRequest,
  DIGEST,
  gathered,
  jobFailure,
  LIFE,
  NOW,
  usageOf,
} from '../test-objects.ts';
import { type Candidate, COPY_RULES, ruleFor, type CopyRuleName, type CopyVerdict } from './copy-rules.ts';
import type { Gathered } from './decision.ts';

const IMAGE = 'docker.io/library/nginx:1.27';
const MADE_FOR_PODS = { labels: { 'larder.dev/made-for': 'pods' } };
const request = copyRequest(IMAGE);
const failed = { phase: 'failed', request, failure: jobFailure({ retryAt: NOW + 1 }) } as const;
const held = { ...COPIED, upstreamDigest: DIGEST };

function candidate(
  changes: Partial<Gathered>,
  image: CachedImage = cachedImage(IMAGE),
  order: Partial<Candidate['request']> = {},
): Candidate {
  return {
    gathered: gathered({ image, usage: usageOf(IMAGE), ...changes }),
    image,
    status: image.status ?? {},
    request: copyRequest(IMAGE, order),
  };
}

const complete = (status: object = held): CachedImage => cachedImage(IMAGE, { status });
const forPods = cachedImage(IMAGE, { metadata: MADE_FOR_PODS });
const nobody = gathered();

const ROWS: [CopyRuleName, CopyVerdict, Candidate][] = [
  [
    'JustCopied',
    'takeResult',
    candidate({
      copy: { phase: 'done', request, result: { ...COPIED, platforms: [] }, at: NOW },
      lifeRules: { ...LIFE, cache: false },
    }),
  ],
  ['Excluded', 'stop', candidate({ lifeRules: { ...LIFE, cache: false } })],
  ['Unused', 'stop', { ...candidate({}, forPods), gathered: nobody }],
  ['UnderWay', 'wait', candidate({ copy: { phase: 'queued', request } })],
  ['UnderWay', 'wait', candidate({ copy: { phase: 'running', request } }, complete())],
  ['UpToDate', 'stop', candidate({}, complete())],
  ['UpToDate', 'stop', candidate({ copy: failed }, complete())],
  ['OrderChanged', 'copy', candidate({ copy: failed }, undefined, { pullSecrets: ['fresh'] })],
  ['RetryDue', 'copy', candidate({ copy: failed, now: NOW + 1 })],
  ['RetryLater', 'retryLater', candidate({ copy: failed })],
  ['NoPlatforms', 'wait', candidate({}, undefined, { platforms: [] })],
  ['NewToUs', 'verify', candidate({ verify: { phase: 'idle' } })],
  ['BeingVerified', 'wait', candidate({ verify: { phase: 'running', request } })],
  ['NeverCopied', 'copy', candidate({})],
  ['ContentLost', 'copy', candidate({}, complete({ digest: DIGEST }))],
  ['PlatformAdded', 'copy', candidate({}, complete(), { platforms: ['linux/amd64', 'linux/arm64'] })],
  ['TagMoved', 'copy', candidate({}, complete({ ...held, upstreamDigest: `sha256:${'b'.repeat(64)}` }))],
  ['ReferrersWanted', 'copy', candidate({}, complete(), { referrers: true })],
];

describe('an image is decided about', () => {
  it.each(ROWS)('by the rule %s: %s', (name, then, of) => {
    expect(ruleFor(of)).toMatchObject({ name, then });
  });

  it('by no other rules than these, in this order', () => {
    expect(COPY_RULES.map(({ name }) => name)).toEqual([...new Set(ROWS.map(([name]) => name))]);
  });
});
