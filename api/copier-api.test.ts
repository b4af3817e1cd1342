import { formatReference } from '../registry/core/reference.ts';
import { checkAnswerSchema, copyEventSchema, copyOrderSchema, parseMessage } from './copier-api.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

describe('orders', () => {
  it('arrive as domain values, with what is left out filled in', () => {
    const order = parseMessage(copyOrderSchema, { image: 'nginx:1.27', platforms: ['linux/arm64/v8'] });
    expect(formatReference(order.image)).toBe('docker.io/library/nginx:1.27');
    expect(order).toMatchObject({ platforms: [{ os: 'linux', architecture: 'arm64' }], pullSecrets: [] });
    expect(order.tenant).toBeUndefined();
  });

  it.each([
    [null, 'expected object'],
    [{}, 'image: '],
    [{ image: 'Nginx' }, 'image: "Nginx" is not a valid repository name: it must be in lower case'],
    [{ image: 'nginx', tenant: 'Team' }, 'tenant: must be the name of a namespace'],
    [{ image: 'nginx', platforms: ['linux'] }, 'platforms.0: "linux" is not a platform'],
    [{ image: 'nginx', pullSecrets: ['../x'] }, 'pullSecrets.0: must be the name of an object'],
  ])('that are none are refused with what is wrong: %j', (json, message) => {
    expect(() => parseMessage(copyOrderSchema, json)).toThrow(message);
    expect(() => parseMessage(copyOrderSchema, json)).toThrow(
      expect.objectContaining({ status: 400 }) as Error,
    );
  });
});

describe('answers', () => {
  it.each([
    { type: 'progress', completedBytes: 1, totalBytes: 2 },
    { type: 'done', digest: DIGEST, sizeBytes: 3, platforms: ['linux/amd64'] },
    { type: 'failed', reason: 'RateLimited', message: 'later', retryAfterSeconds: 30 },
  ])('are events of a copy: %j', (event) => {
    expect(parseMessage(copyEventSchema, event)).toEqual(event);
  });

  it.each([{ type: 'done' }, { type: 'failed', reason: 'Because', message: '' }, { type: 'unheard-of' }])(
    'of unknown form are refused: %j',
    (event) => {
      expect(() => parseMessage(copyEventSchema, event)).toThrow();
    },
  );

  it('to a check carry either a digest or a reason', () => {
    expect(parseMessage(checkAnswerSchema, { upstream: 'Available', digest: DIGEST })).toMatchObject({
      digest: DIGEST,
    });
    expect(() => parseMessage(checkAnswerSchema, { upstream: 'Available' })).toThrow('digest');
  });
});
