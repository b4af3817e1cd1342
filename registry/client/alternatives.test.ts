import { RegistryError } from '../core/errors.ts';
import { firstOf } from './alternatives.ts';

describe('firstOf', () => {
  const failing = (reason: 'Unreachable' | 'Canceled' | 'NotFound') => (): Promise<never> =>
    Promise.reject(new RegistryError(reason, { reason }));

  it('asks no further than the first that helps', async () => {
    const asked: string[] = [];
    const answer = await firstOf(['down', 'good', 'spare'], (endpoint) => {
      asked.push(endpoint);
      return endpoint === 'good' ? Promise.resolve(endpoint) : failing('Unreachable')();
    });
    expect(answer).toBe('good');
    expect(asked).toEqual(['down', 'good']);
  });

  it('fails with what the last one said', async () => {
    const attempt = (endpoint: 'Unreachable' | 'NotFound'): Promise<never> => failing(endpoint)();
    await expect(firstOf(['Unreachable', 'NotFound'], attempt)).rejects.toMatchObject({ reason: 'NotFound' });
  });

  it('does not go on for a caller who left', async () => {
    let calls = 0;
    const attempt = (): Promise<never> => {
      calls++;
      return failing('Canceled')();
    };
    await expect(firstOf([1, 2], attempt)).rejects.toMatchObject({ reason: 'Canceled' });
    expect(calls).toBe(1);
  });

  it('fails when there is nothing to ask', async () => {
    await expect(firstOf([], failing('NotFound'))).rejects.toMatchObject({ reason: 'Unreachable' });
  });
});
