/**
 * Globs (`*`, `?`, `[a-z]`), matched in time proportional to pattern × text, so that no pattern can stall us.
 */

type Matcher = '*' | ((character: string) => boolean);

const TOKEN = /\\(.)|\*|\?|\[(\^?)((?:\\.|[^\]\\])+)\]|([^[\]\\])/gsy;

/**
 * Whether the whole text matches; false for a malformed pattern. `*` matches any characters: to keep it from
 * crossing separators, split pattern and text at them first.
 */
export function globMatches(pattern: string, text: string): boolean {
  if (pattern === '*') return true;
  const matchers = compile(pattern);
  if (matchers === undefined) return false;
  let [at, position, star, retryFrom] = [0, 0, -1, 0];
  while (position < text.length) {
    const matcher = matchers[at];
    if (matcher === '*') {
      [star, retryFrom] = [at, position];
      at++;
    } else if (matcher?.(text.charAt(position)) === true) {
      at++;
      position++;
    } else if (star >= 0) {
      at = star + 1;
      position = ++retryFrom;
    } else {
      return false;
    }
  }
  return matchers.slice(at).every((matcher) => matcher === '*');
}

function compile(pattern: string): Matcher[] | undefined {
  const matchers: Matcher[] = [];
  let length = 0;
  for (const [token, escaped, negated, set, plain] of pattern.matchAll(TOKEN)) {
    length += token.length;
    const literal = escaped ?? plain;
    if (literal !== undefined) matchers.push((character) => character === literal);
    else if (set !== undefined) matchers.push(setMatcher(set, negated === '^'));
    else matchers.push(token === '*' ? '*' : () => true);
  }
  return length === pattern.length ? matchers : undefined;
}

function setMatcher(set: string, negated: boolean): (character: string) => boolean {
  const ranges = [...set.matchAll(/\\?(.)(?:-\\?(.))?/gs)].map(
    ([, low = '', high = low]) => [low, high] as const,
  );
  return (character) => ranges.some(([low, high]) => low <= character && character <= high) !== negated;
}
