import { attachedTo, COSIGN_SUFFIXES, referrersTag } from './attached-tag.ts';
import { digestOf } from './digest.ts';

it.each(['sha256', 'sha512'] as const)('tells which manifest a tag is attached to, for %s', (algorithm) => {
  const tag = referrersTag(digestOf(Buffer.from('an image'), algorithm));
  expect(tag.length).toBeLessThanOrEqual(128);
  for (const suffix of ['', ...COSIGN_SUFFIXES]) {
    if (tag.length + suffix.length <= 128) expect(attachedTo(tag + suffix)).toBe(tag);
  }
});

it.each(['latest', 'sha256', 'sha256-abc', `larder-sha256-${'a'.repeat(64)}`, `sha256-${'A'.repeat(64)}`])(
  'takes %s for an ordinary tag',
  (tag) => {
    expect(attachedTo(tag)).toBeUndefined();
  },
);
