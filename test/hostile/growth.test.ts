/** Text that others choose is worked through in time that grows with its length, whatever it looks like. */
import { redactText } from '../../platform/redact.ts';
import { linkToNext } from '../../registry/client/listing.ts';
import { parseChallenges } from '../../registry/core/challenge.ts';
import { parsePullSecret } from '../../registry/core/credentials.ts';
import { parseDigest } from '../../registry/core/digest.ts';
import { mediaTypeOf } from '../../registry/core/media-types.ts';
import { parsePlatform } from '../../registry/core/platform.ts';
import { parsePullPath } from '../../registry/core/pull-path.ts';
import { parseContentRange, parseRange } from '../../registry/core/range.ts';
import { parseReference } from '../../registry/core/reference.ts';
import { hideSecrets } from '../../registry/transport/http/secrets.ts';

const SHORT = 16_384;
const LONG = 65_536;
/** Linear time makes 4 of the two lengths, time by the square 16. */
const MOST_GROWTH = 9;
/** A pattern whose time grows by the square takes a hundred times as long for the longer text. */
const NOTICEABLE_MS = 10;
const ROUNDS = 5;

/** Each fills a text of any length; `n` is that length. */
const SHAPES: Readonly<Record<string, (n: number) => string>> = {
  'one letter': (n) => 'a'.repeat(n),
  digits: (n) => '1'.repeat(n),
  spaces: (n) => ' '.repeat(n),
  zeros: (n) => '\0'.repeat(n),
  'schemes without an end': (n) => 'a+'.repeat(n / 2),
  'ends of schemes': (n) => '://'.repeat(n / 3),
  'URLs without a query': (n) => 'a://b'.repeat(n / 5),
  'one URL': (n) => `https://${'a/'.repeat(n / 2)}`,
  'words bearer': (n) => 'bearer '.repeat(n / 7),
  dashes: (n) => '-'.repeat(n),
  'letters and dashes': (n) => 'a-'.repeat(n / 2),
  'letters and dots': (n) => 'a.'.repeat(n / 2),
  slashes: (n) => '/'.repeat(n),
  'path components': (n) => 'a/'.repeat(n / 2),
  colons: (n) => 'a:'.repeat(n / 2),
  quotes: (n) => 'a="'.repeat(n / 3),
  'quoted backslashes': (n) => `a="${'\\'.repeat(n)}`,
  commas: (n) => ','.repeat(n),
  links: (n) => '<a>;'.repeat(n / 4),
  'one link': (n) => `<a>;${'rel '.repeat(n / 4)}`,
  semicolons: (n) => ';'.repeat(n),
};

const basic = (password: string): string => Buffer.from(`user:${password}`).toString('base64');

/** Everything that sees what a registry, a client, a Pod's author or a tenant's Secret says. */
const READERS: Readonly<Record<string, (text: string) => unknown>> = {
  'the log’s redaction': redactText,
  'the redaction of a registry’s errors': (text) => hideSecrets(text, ['a secret of ours']),
  'the path of a pull': (text) => parsePullPath(`/v2/${text}/manifests/1`),
  'the path of a pull, as it came': parsePullPath,
  'an image reference': parseReference,
  'a digest': parseDigest,
  'a range': (text) => parseRange(`bytes=${text}x`, 1_000),
  'a content range': (text) => parseContentRange(`bytes ${text}x`),
  'a challenge': parseChallenges,
  'a Link header': linkToNext,
  'a Content-Type': mediaTypeOf,
  'a platform': parsePlatform,
  'a pull secret': (text) =>
    parsePullSecret(
      'kubernetes.io/dockerconfigjson',
      JSON.stringify({ auths: { [text]: { auth: basic(`${text}x`) } } }),
    ),
};

/** CPU milliseconds of the fastest of some rounds; what it throws is an answer, too. */
function fastest(read: (text: string) => unknown, text: string): number {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const began = process.cpuUsage();
    try {
      read(text);
    } catch {
      // refused
    }
    const { user, system } = process.cpuUsage(began);
    best = Math.min(best, (user + system) / 1_000);
  }
  return best;
}

describe.each(Object.entries(READERS))('%s', (_, read) => {
  it.each(Object.entries(SHAPES))('is read in time that grows with its length: %s', (_shape, fill) => {
    fastest(read, fill(SHORT)); // what runs for the first time is compiled first
    const [short, long] = [fastest(read, fill(SHORT)), fastest(read, fill(LONG))];
    // What takes less is no attack, and the clock rather than the pattern decides how much it grew.
    const growth = long < NOTICEABLE_MS ? 0 : long / short;
    expect(growth).toBeLessThan(MOST_GROWTH);
  });
});
