import { setTimeout as delay } from 'node:timers/promises';
import type { DeadlineError } from '../../platform/deadline.ts';
import { HeadDeadline, LastSign } from './head-deadline.ts';

const SIGN_MS = 40;

function wait(
  lastSign: LastSign,
): Promise<{ error: DeadlineError; afterMs: number; deadline: HeadDeadline }> {
  const startedAt = performance.now();
  return new Promise((resolve) => {
    const onLate = (error: DeadlineError): void => {
      resolve({ error, afterMs: performance.now() - startedAt, deadline });
    };
    const deadline = new HeadDeadline({ signMs: SIGN_MS, headMs: 10_000, peer: 'copier', lastSign, onLate });
  });
}

describe('the deadline for the head of an answer', () => {
  it('is soon for a peer of which nothing is heard', async () => {
    const { error, afterMs } = await wait(new LastSign());
    expect(error.message).toContain('a sign of life from the copier');
    expect(afterMs).toBeGreaterThanOrEqual(SIGN_MS - 1);
  });

  it('is put off while the peer gives signs of life elsewhere, for some time', async () => {
    const lastSign = new LastSign();
    const elsewhere = setInterval(() => {
      lastSign.heard();
    }, SIGN_MS / 8);
    const { afterMs } = await wait(lastSign);
    clearInterval(elsewhere);
    expect(afterMs).toBeGreaterThan(3 * SIGN_MS);
  });

  it('is put off by no sign that came before its time', async () => {
    const lastSign = new LastSign();
    lastSign.heard();
    await delay(SIGN_MS);
    const { afterMs } = await wait(lastSign);
    expect(afterMs).toBeLessThan(3 * SIGN_MS);
  });
});
