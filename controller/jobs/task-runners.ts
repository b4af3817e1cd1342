/** The errands of a term of leadership: who carries them out, how many at once, and by which settings. */
import type { CheckAnswer } from '../../api/copier-api.ts';
import type { Clock } from '../../platform/clock.ts';
import type { ConfigOf } from '../../platform/config.ts';
import type { Logger } from '../../platform/log.ts';
import type { config } from '../config.ts';
import type { Component } from '../../platform/run.ts';
import type { CopierClient } from './copier-client.ts';
import type { Copies } from './copies.ts';
import type { CopyRequest } from './copy-state.ts';
import { Errands } from './tasks.ts';
import type { RemovalAnswer, Verification } from './answers.ts';
import type { RemovalRequest, Removals } from './removals.ts';

const CHECKS_AT_ONCE = 4;
const DEFAULT_REST_SECONDS = 60;
const MAX_REST_MS = 6 * 3_600_000;
const VERIFICATIONS_AT_ONCE = 4;
const REMOVALS_AT_ONCE = 2;

/** Questions and orders beside copies, by what they are called in a decision. */
export interface ErrandRunners {
  readonly check: Errands<CopyRequest, CheckAnswer>;
  readonly verify: Errands<CopyRequest, Verification>;
  readonly remove: Errands<RemovalRequest, RemovalAnswer>;
}

export type ErrandName = keyof ErrandRunners;

export interface ErrandParts {
  readonly copier: CopierClient;
  readonly removals: Removals;
  readonly settings: ConfigOf<typeof config>;
  readonly figures: { readonly errandEnded: (errand: ErrandName, result: string) => void };
  readonly clock: Clock;
  readonly log: Logger;
}

/** An upstream that limits us is left alone for as long as it says, with all images that it has. */
function restOf(answer: CheckAnswer): number {
  if (answer.upstream === 'Available' || answer.reason !== 'RateLimited') return 0;
  return Math.min((answer.retryAfterSeconds ?? DEFAULT_REST_SECONDS) * 1_000, MAX_REST_MS);
}

type Perform<Q, A> = (request: Q, signal: AbortSignal) => Promise<A>;

/** @param onChange called with the name of an image when an errand for it has ended */
export function errandRunners(parts: ErrandParts, onChange: (name: string) => void): ErrandRunners {
  const { copier, removals, settings, figures, clock, log } = parts;
  const backoff = { baseMs: settings.retryBase, maxMs: settings.retryMax };
  const common = { clock, log, backoff, onChange };
  const counted =
    <Q, A>(errand: ErrandName, perform: Perform<Q, A>, resultOf: (answer: A) => string): Perform<Q, A> =>
    async (request, signal) => {
      try {
        const answer = await perform(request, signal);
        figures.errandEnded(errand, resultOf(answer));
        return answer;
      } catch (error) {
        if (!signal.aborted) figures.errandEnded(errand, 'Failed');
        throw error;
      }
    };
  return {
    check: new Errands({
      ...common,
      name: 'check',
      perform: counted('check', copier.check, (answer) =>
        answer.upstream === 'Available' ? answer.upstream : answer.reason,
      ),
      limit: CHECKS_AT_ONCE,
      laneOf: ({ reference }) => reference.host,
      spacingMs: settings.checkSpacing,
      restAfterMs: restOf,
    }),
    verify: new Errands({
      ...common,
      name: 'verify',
      perform: counted('verify', copier.verify, ({ complete }) => (complete ? 'Complete' : 'Incomplete')),
      limit: VERIFICATIONS_AT_ONCE,
    }),
    remove: new Errands({
      ...common,
      name: 'remove',
      perform: counted('remove', removals.perform, ({ inUse }) => (inUse ? 'InUse' : 'Removed')),
      limit: REMOVALS_AT_ONCE,
    }),
  };
}

/** Copies start when the first is asked for; what is under way when the term ends is canceled. */
export function stopping(copies: Copies, errands: ErrandRunners, copier: CopierClient): Component {
  return {
    name: 'copies',
    start: () =>
      Promise.resolve({
        stop: async () => {
          await Promise.all(
            [copies, errands.check, errands.verify, errands.remove].map((each) => each.stop()),
          );
          await copier.close();
        },
      }),
  };
}
