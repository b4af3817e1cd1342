/**
 * WWW-Authenticate: how a registry wants us to log in (RFC 9110 section 11.6.1, RFC 6750, Docker's token
 * protocol).
 */

export interface BasicChallenge {
  readonly scheme: 'basic';
  readonly realm: string;
}

export interface BearerChallenge {
  readonly scheme: 'bearer';
  /** URL of the token server, as the registry wrote it. Check it before sending credentials there. */
  readonly realm: string;
  readonly service?: string;
  readonly scope?: string;
}

export type Challenge = BasicChallenge | BearerChallenge;

const MAX_LENGTH = 8192;
/**
 * A parameter with its quoted or bare value, or a scheme, or credentials in token68 form; tried in this
 * order.
 */
const TOKEN =
  /[\s,]*(?:([!#$%&'*+.^_`|~\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"=]+(?=[\s,]|$)))|([!#$%&'*+.^_`|~\w-]+)(?=[\s,]|$)|[\w.~+/-]+=*(?=[\s,]|$))/y;

interface RawChallenge {
  readonly scheme: string;
  readonly parameters: Map<string, string>;
}

/** The challenges that we can answer, in the header's order. Those before garbage are kept. */
export function parseChallenges(header: string): Challenge[] {
  const challenges: RawChallenge[] = [];
  const text = header.slice(0, MAX_LENGTH);
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(text); match !== null; match = TOKEN.exec(text)) {
    const [, parameter, quoted, bare = '', scheme] = match;
    const current = challenges.at(-1);
    if (scheme !== undefined) {
      challenges.push({ scheme: scheme.toLowerCase(), parameters: new Map() });
    } else if (current === undefined) {
      return [];
    } else if (parameter !== undefined) {
      addParameter(current, parameter, quoted?.replaceAll(/\\(.)/g, '$1') ?? bare);
    }
  }
  return challenges.flatMap(({ scheme, parameters }) => toChallenge(scheme, parameters));
}

/** A parameter must not occur twice in a challenge; the first one counts. */
function addParameter(challenge: RawChallenge, name: string, value: string): void {
  const key = name.toLowerCase();
  if (!challenge.parameters.has(key)) challenge.parameters.set(key, value);
}

function toChallenge(scheme: string, parameters: ReadonlyMap<string, string>): Challenge[] {
  const realm = parameters.get('realm');
  if (scheme === 'basic') return [{ scheme, realm: realm ?? '' }];
  if (scheme !== 'bearer' || realm === undefined || realm === '') return [];
  const service = parameters.get('service');
  const scope = parameters.get('scope');
  return [{ scheme, realm, ...(service ? { service } : {}), ...(scope ? { scope } : {}) }];
}
