import { backoffMs } from './backoff.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import { ManualClock, systemClock } from './clock.ts';
import { DeadlineError, SilenceGuard, withDeadline } from './deadline.ts';

const forever = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => {
      reject(signal.reason as Error);
    });
  });

describe('a deadline', () => {
  it('ends a step that takes too long, also one that ignores its signal', async () => {
    await expect(withDeadline('the step', 10, undefined, forever)).rejects.toThrow(
      new DeadlineError('the step', 10),
    );
    await expect(
      withDeadline('the step', 10, undefined, () => new Promise(() => undefined)),
    ).rejects.toMatchObject({ code: 'TimedOut', retryable: true });
  });

  it('passes on what the step gives and what the caller aborts with', async () => {
    await expect(withDeadline('a', 1_000, undefined, () => Promise.resolve(7))).resolves.toBe(7);
    const reason = new Error('the caller left');
    await expect(withDeadline('a', 1_000, AbortSignal.abort(reason), forever)).rejects.toBe(reason);
    const caller = new AbortController();
    const step = withDeadline('a', 1_000, caller.signal, forever);
    caller.abort(reason);
    await expect(step).rejects.toBe(reason);
  });
});

describe('a guard against silence', () => {
  it('lets a body take any time while bytes arrive, and ends it when they do not', async () => {
    const guard = new SilenceGuard('the next byte', 100);
    for (let i = 0; i < 6; i++) {
      await systemClock.sleep(30);
      guard.touch();
    }
    expect(guard.signal.aborted).toBe(false);
    await forever(guard.signal).catch((error: unknown) => {
      expect(error).toBeInstanceOf(DeadlineError);
    });
    guard.close();
  });
});

describe('a clock', () => {
  it('stops sleeping when asked to', async () => {
    const reason = new Error('enough');
    for (const clock of [systemClock, new ManualClock()]) {
      await expect(clock.sleep(60_000, AbortSignal.abort(reason))).rejects.toBe(reason);
      const controller = new AbortController();
      const sleep = clock.sleep(60_000, controller.signal);
      controller.abort(reason);
      await expect(sleep).rejects.toBe(reason);
    }
  });
});

describe('backoff', () => {
  it('doubles up to its bound, with jitter over the upper half', () => {
    const policy = { baseMs: 100, maxMs: 1_000 };
    expect([0, 1, 2, 3, 4, 99].map((n) => backoffMs(n, policy, () => 1))).toEqual([
      100, 200, 400, 800, 1_000, 1_000,
    ]);
    expect(backoffMs(1, policy, () => 0)).toBe(100);
  });
});

describe('a circuit breaker', () => {
  const policy = { failureThreshold: 2, openMs: 100, maxOpenMs: 300, probeMs: 50 };

  it('opens after failures in a row, lets one probe through, and closes when that succeeds', () => {
    const breaker = new CircuitBreaker(policy);
    expect(breaker.request('up', 0)).toBe('allow');
    breaker.failed('up', 0);
    expect(breaker.request('up', 1)).toBe('allow');
    breaker.failed('up', 1);
    expect(breaker.request('up', 2)).toBe('deny');
    expect(breaker.isOpen('up', 2)).toBe(true);
    expect(breaker.request('other', 2)).toBe('allow');
    expect([breaker.request('up', 101), breaker.request('up', 102)]).toEqual(['probe', 'deny']);
    breaker.succeeded('up');
    expect(breaker.request('up', 103)).toBe('allow');
  });

  it('stays open longer after each failed probe, up to its bound', () => {
    const breaker = new CircuitBreaker({ ...policy, failureThreshold: 1 });
    let now = 0;
    const waits: number[] = [];
    breaker.failed('up', now);
    for (let i = 0; i < 4; i++) {
      const from = now;
      while (breaker.request('up', now) === 'deny') now += 1;
      waits.push(now - from);
      breaker.failed('up', now);
    }
    expect(waits).toEqual([100, 200, 300, 300]);
  });

  it('takes many that fail together for one failure, and tells who may fail with a probe', () => {
    const breaker = new CircuitBreaker({ ...policy, failureThreshold: 1 });
    for (let i = 0; i < 5; i++) breaker.failed('up', i);
    expect([breaker.isProbed('up', 99), breaker.request('up', 100)]).toEqual([false, 'probe']);
    expect([breaker.request('up', 101), breaker.isProbed('up', 101)]).toEqual(['deny', true]);
    for (let i = 0; i < 5; i++) breaker.failed('up', 102);
    expect(breaker.isProbed('up', 103)).toBe(false);
    expect([breaker.request('up', 301), breaker.request('up', 302)]).toEqual(['deny', 'probe']);
  });

  it('does not wait forever for a probe that never reports', () => {
    const breaker = new CircuitBreaker({ ...policy, failureThreshold: 1 });
    breaker.failed('up', 0);
    expect(breaker.request('up', 100)).toBe('probe');
    expect(breaker.request('up', 149)).toBe('deny');
    expect(breaker.request('up', 150)).toBe('probe');
  });

  it('counts failures in a row only, and forgets the key used longest ago', () => {
    const breaker = new CircuitBreaker({ ...policy, maxKeys: 2 });
    breaker.failed('a', 0);
    breaker.succeeded('a');
    breaker.failed('a', 1);
    expect(breaker.request('a', 2)).toBe('allow');
    breaker.failed('a', 2);
    for (const key of ['b', 'c']) breaker.failed(key, 3);
    expect(breaker.request('a', 4)).toBe('allow');
  });
});
