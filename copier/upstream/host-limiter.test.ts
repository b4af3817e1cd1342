import { setImmediate } from 'node:timers/promises';
import { HostLimiter } from './host-limiter.ts';

const { signal } = new AbortController();

describe('transfers from one registry', () => {
  it('wait while as many as are allowed are running, and go on in order', async () => {
    const limiter = new HostLimiter(2);
    const order: string[] = [];
    const first = await limiter.acquire('a', signal);
    const second = await limiter.acquire('a', signal);
    const waiting = ['third', 'fourth'].map(async (name) => {
      const end = await limiter.acquire('a', signal);
      order.push(name);
      return end;
    });
    await setImmediate();
    expect(order).toEqual([]);
    first();
    first();
    await setImmediate();
    expect(order).toEqual(['third']);
    second();
    for (const end of await Promise.all(waiting)) end();
    expect(order).toEqual(['third', 'fourth']);
  });

  it('do not wait for those from another', async () => {
    const limiter = new HostLimiter(1);
    await limiter.acquire('a', signal);
    await expect(limiter.acquire('b', signal)).resolves.toBeInstanceOf(Function);
  });

  it('leave the line when they are cancelled', async () => {
    const limiter = new HostLimiter(1);
    const end = await limiter.acquire('a', signal);
    const gone = new AbortController();
    const waiting = limiter.acquire('a', gone.signal);
    gone.abort(new Error('gone'));
    await expect(waiting).rejects.toThrow('gone');
    end();
    await expect(limiter.acquire('a', signal)).resolves.toBeInstanceOf(Function);
  });
});
