import { RegistryError } from '../../registry/core/errors.ts';
import { parsePullPath, type PullPath } from '../../registry/core/pull-path.ts';
import {
  mayAsk,
  mostMeaningful,
  planSteps,
  type Failure,
  type Step,
  type Verdict,
  type OriginName,
} from './plan.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

function path(text: string): PullPath {
  const parsed = parsePullPath(text);
  if (parsed.kind === 'base') throw new Error('not in a repository');
  return parsed;
}

function step(origin: OriginName): Step {
  return { origin, isPatient: true };
}

function failure(origin: OriginName, verdict: Verdict): Failure {
  return { origin, verdict, error: new RegistryError(`${origin} ${verdict}`, { reason: 'UpstreamError' }) };
}

describe('the plan of a pull', () => {
  it.each([
    [`/v2/docker.io/library/nginx/blobs/${DIGEST}`, ['store', 'copier', 'upstream']],
    [`/v2/docker.io/library/nginx/manifests/${DIGEST}`, ['store', 'copier', 'upstream']],
    ['/v2/docker.io/library/nginx/manifests/1', ['copier at once', 'store', 'copier', 'upstream']],
    ['/v2/docker.io/library/nginx/tags/list', ['copier at once', 'store', 'copier', 'upstream']],
    [`/v2/team-a.tenant/ghcr.io/acme/app/blobs/${DIGEST}`, ['store', 'copier']],
    [`/v2/larder.invalid/self-test/blobs/${DIGEST}`, ['store', 'copier']],
    ['/v2/team-a.tenant/ghcr.io/acme/app/manifests/1', ['copier at once', 'store', 'copier']],
  ])('for %s asks %j', (text, steps) => {
    const named = planSteps(path(text)).map(({ origin, isPatient }) =>
      origin === 'copier' && !isPatient ? 'copier at once' : origin,
    );
    expect(named).toEqual(steps);
  });

  it('does not ask upstream again for what it has just refused', () => {
    expect(mayAsk(step('upstream'), [failure('copier', 'refused')])).toBe(false);
    expect(mayAsk(step('store'), [failure('copier', 'refused')])).toBe(true);
    expect(mayAsk(step('upstream'), [failure('copier', 'down'), failure('store', 'absent')])).toBe(true);
  });

  it('asks a copier again that was silent, and no other', () => {
    expect(mayAsk(step('copier'), [failure('copier', 'silent'), failure('store', 'absent')])).toBe(true);
    expect(mayAsk(step('copier'), [failure('copier', 'refused'), failure('store', 'absent')])).toBe(false);
    expect(mayAsk(step('copier'), [failure('copier', 'down'), failure('store', 'absent')])).toBe(false);
  });

  it("tells upstream's own meaning first, then what is broken, then that it is not there", () => {
    const refused = failure('copier', 'refused');
    const down = failure('copier', 'down');
    const absent = failure('store', 'absent');
    expect(mostMeaningful([refused, absent])).toBe(refused.error);
    expect(mostMeaningful([absent, down])).toBe(down.error);
    expect(mostMeaningful([absent])).toBe(absent.error);
    expect(mostMeaningful([])).toBeUndefined();
  });
});
