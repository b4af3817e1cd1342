/**
 * Whatever upstream does: what is cached is pulled, the rest gets upstream's own error, and nothing hangs.
 */
import { CommandError } from '../cluster/command.ts';
import { HostileSite } from '../hostile/site.ts';
import { limit } from '../larder/limit.ts';
import {
  cachedStates,
  type HostileImage,
  manifestPath,
  reference,
  throughProxy,
  uncached,
} from '../hostile/states.ts';
import { forget, preheat } from '../larder/preheat.ts';
import { proxyFetch, proxyTimes } from '../larder/proxy-fetch.ts';
import { sharedCluster } from '../larder/shared-cluster.ts';

interface Row {
  readonly name: string;
  /** First part of the repositories' names: what the hostile registry does. */
  readonly fault: string;
  /** Of the manifest that is not cached; none: it is served. */
  readonly status?: readonly number[];
  /** In seconds. */
  readonly retryAfter?: RegExp;
  /** Whether an image that is not cached can be pulled all the same. */
  readonly pulled?: boolean;
}

const ROWS: readonly Row[] = [
  { name: 'refused', fault: 'refused', status: [502] },
  { name: 'black-holed', fault: 'hole', status: [502, 504] },
  { name: '401', fault: 'unauthorized', status: [401] },
  { name: '403', fault: 'forbidden', status: [403] },
  { name: '404 (deleted)', fault: 'deleted', status: [404] },
  { name: '429', fault: 'limited', status: [429], retryAfter: /^[1-7]$/ },
  { name: '500', fault: 'broken', status: [502] },
  { name: 'reset mid-blob', fault: 'reset', pulled: true },
  { name: 'reset mid-blob, without ranges', fault: 'cut' },
  { name: 'wrong bytes in a blob', fault: 'liar' },
  { name: 'wrong bytes in a manifest', fault: 'forger', status: [502] },
  { name: '1 KB/s', fault: 'slow', pulled: true },
  { name: 'redirect to a dead host', fault: 'redirect', status: [502, 504] },
  { name: 'expired TLS', fault: 'expired', status: [502] },
  { name: 'token server down', fault: 'token', status: [502] },
];

/** No pull that fails may take longer, in milliseconds: the runtime itself tries a blob several times. */
const NO_HANG_MS = 60_000;
const SIDE_BY_SIDE = 6;
const STATES = ['tag', 'digest', 'sparse', 'uncached'] as const;

type State = (typeof STATES)[number];

interface Outcome {
  /** What the runtime says when the pull fails. */
  readonly failure: CommandError | undefined;
  readonly milliseconds: number;
}

describe('an upstream that fails', () => {
  const cluster = sharedCluster();
  const node = cluster.node(2);
  const pulls = new Map<string, Promise<Outcome>>();
  let hostile: HostileSite;

  function hostOf(fault: string): string {
    if (fault === 'refused') return hostile.refusing;
    if (fault === 'expired') return hostile.expiring;
    return hostile.host(1 + ROWS.findIndex((row) => row.fault === fault));
  }

  function imageOf(fault: string, state: State): HostileImage {
    const host = hostOf(fault);
    return state === 'uncached' ? uncached(host, fault) : cachedStates(host, fault)[state];
  }

  async function pull(image: HostileImage): Promise<Outcome> {
    const started = performance.now();
    let failure: CommandError | undefined;
    try {
      await node.pull(throughProxy(image));
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      failure = error;
    }
    return { failure, milliseconds: performance.now() - started };
  }

  async function outcome(fault: string, state: State): Promise<Outcome> {
    const pulled = pulls.get(`${fault} ${state}`);
    if (pulled === undefined) throw new Error(`nobody pulled ${fault} ${state}`);
    return pulled;
  }

  beforeAll(async () => {
    hostile = await HostileSite.of(cluster);
    const cached = ROWS.flatMap(({ fault }) => Object.values(cachedStates(hostOf(fault), fault)));
    await preheat(cluster, 'faults', cached.map(reference));
    await hostile.arm();
    await hostile.blackHole(hostOf('hole'));
    // Most of them wait for an upstream most of the time; so they do it side by side.
    const turn = limit(SIDE_BY_SIDE);
    for (const state of STATES.toReversed()) {
      for (const { fault } of ROWS)
        pulls.set(
          `${fault} ${state}`,
          turn(() => pull(imageOf(fault, state))),
        );
    }
  }, 120_000);

  afterAll(async () => {
    await Promise.allSettled(pulls.values());
    await hostile.disarm();
    await forget(cluster, 'faults');
  });

  describe.each(ROWS)('$name', ({ fault, status, retryAfter, pulled = false }) => {
    it.each(['tag', 'digest', 'sparse'] as const)(
      'is not noticed by who pulls what is cached (%s)',
      async (state) => {
        expect((await outcome(fault, state)).failure).toBeUndefined();
      },
      90_000,
    );

    if (pulled) {
      it('does not keep an image from being pulled that is not cached', async () => {
        expect((await outcome(fault, 'uncached')).failure).toBeUndefined();
      }, 90_000);
      return;
    }

    it('is told, in time and with its own meaning, to who pulls what is not cached', async () => {
      const { failure, milliseconds } = await outcome(fault, 'uncached');
      expect(failure).toBeInstanceOf(CommandError);
      expect(milliseconds).toBeLessThan(NO_HANG_MS);
      const answer = await proxyFetch(node, manifestPath(imageOf(fault, 'uncached')));
      expect(status ?? [200]).toContain(answer.status);
      expect(answer.headers['retry-after'] ?? '').toMatch(retryAfter ?? /^$/);
      if (status !== undefined) expect(errorsOf(answer.body)).toHaveLength(1);
    }, 90_000);
  });

  it('that is black-holed is not waited for again by who pulls what is not cached', async () => {
    const path = manifestPath(imageOf('hole', 'uncached'));
    // Of one repository, so that one copier has heard of all of them.
    await Promise.all(['a', 'b'].map((tag) => proxyFetch(node, path.replace(/[^/]+$/, tag))));
    const [time = Infinity] = await proxyTimes(node, path, 1, 502);
    expect(time).toBeLessThan(1_000);
  }, 60_000);

  it('that is black-holed delays the first pull of a cached tag by less than 1.5 s, the following by less than 50 ms', async () => {
    // The other states have used up this registry's first pull.
    const host = hostile.host(ROWS.length + 1);
    const image = cachedStates(host, 'none').tag;
    const healthy = cachedStates(hostile.host(ROWS.length + 2), 'none').tag;
    await preheat(cluster, 'faults-hole', [reference(image), reference(healthy)]);
    await hostile.blackHole(host);
    const [first = Infinity, ...following] = await proxyTimes(node, manifestPath(image), 21);
    const [, ...usual] = await proxyTimes(node, manifestPath(healthy), 21);
    expect(first).toBeLessThan(1_500);
    // Other work on this machine delays all of them.
    expect(median(following) - median(usual)).toBeLessThan(50);
  }, 30_000);
});

function errorsOf(body: Buffer): unknown {
  return (JSON.parse(body.toString()) as { errors: unknown }).errors;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Infinity;
}
