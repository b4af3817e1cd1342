import { setImmediate } from 'node:timers/promises';
import { Turns } from './host-limiter.ts';

const { signal } = new AbortController();

describe('transfers from one registry', () => {
  it('wait for a turn when as many as are allowed go on, and get it in order', async () => {
    const turns = new Turns(2);
    const order: string[] = [];
    const first = await turns.take('a', signal);
    const second = await turns.take('a', signal);
    const waiting = ['third', 'fourth'].map(async (name) => {
      const end = await turns.take('a', signal);
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
    const turns = new Turns(1);
    await turns.take('a', signal);
    await expect(turns.take('b', signal)).resolves.toBeInstanceOf(Function);
  });

  it('give up their place when nobody wants them any more', async () => {
    const turns = new Turns(1);
    const end = await turns.take('a', signal);
    const gone = new AbortController();
    const waiting = turns.take('a', gone.signal);
    gone.abort(new Error('gone'));
    await expect(waiting).rejects.toThrow('gone');
    end();
    await expect(turns.take('a', signal)).resolves.toBeInstanceOf(Function);
  });
});
