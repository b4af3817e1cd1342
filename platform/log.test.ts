import { Writable } from 'node:stream';
import { createLogger, silentLogger, type LogLevel, type Logger } from './log.ts';
import { redact, redactText } from './redact.ts';

function capture(level?: LogLevel): { log: Logger; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      lines.push(JSON.parse(chunk.toString()) as Record<string, unknown>);
      done();
    },
  });
  return { log: createLogger({ process: 'test', stream, ...(level ? { level } : {}) }), lines };
}

describe('a log line', () => {
  it('is one JSON object with a constant message and the fields of its logger', () => {
    const { log, lines } = capture();
    log.child({ request: 'r1' }).info('answered', { status: 200, message: 'mine', at: new Date(0) });
    expect(lines).toEqual([
      {
        time: expect.stringMatching(/^\d{4}-/) as unknown,
        level: 'info',
        process: 'test',
        message: 'answered',
        request: 'r1',
        status: 200,
        message_: 'mine',
        at: '1970-01-01T00:00:00.000Z',
      },
    ]);
  });

  it('is left out below the level', () => {
    const { log, lines } = capture('warn');
    log.info('a');
    log.debug('b');
    log.warn('c');
    log.error('d');
    silentLogger.child({}).error('e');
    expect(lines.map((line) => line['message'])).toEqual(['c', 'd']);
  });

  it('tells an error with its code and causes', () => {
    const { log, lines } = capture();
    const cause = Object.assign(new Error('reset'), { code: 'ECONNRESET' });
    log.error('failed', { error: new Error('GET failed', { cause }) });
    expect(lines[0]?.['error']).toMatchObject({
      name: 'Error',
      message: 'GET failed',
      cause: { message: 'reset', code: 'ECONNRESET' },
      stack: expect.stringContaining('log.test') as unknown,
    });
  });
});

describe('secrets', () => {
  it.each([
    'authorization',
    'Authorization',
    'password',
    'token',
    'accessToken',
    'refresh_token',
    'privateKey',
    'set-cookie',
  ])('in a field called %s are hidden, at any depth', (name) => {
    expect(JSON.stringify(redact({ headers: [{ [name]: 'hunter2' }] }))).not.toContain('hunter2');
  });

  it.each([
    ['https://user:hunter2@reg.example/v2/', 'https://[redacted]@reg.example/v2/'],
    [
      'GET https://s3.example/b?X-Amz-Signature=hunter2&n=1 failed',
      'GET https://s3.example/b?X-Amz-Signature=[redacted]&n=[redacted] failed',
    ],
    ['sent Bearer hunter2.hunter2', 'sent Bearer [redacted]'],
    ['Basic aHVudGVyMjpodW50ZXIy', 'Basic [redacted]'],
    ['https://reg.example/v2/', 'https://reg.example/v2/'],
  ])('in the text %s are hidden', (given, expected) => {
    expect(redactText(given)).toBe(expected);
  });

  it.each([
    ['localhost:7439/a.tenant.CAP/ghcr.io/x:1', 'localhost:7439/a.tenant/ghcr.io/x:1'],
    ['/v2/a.tenant.CAP%2Fghcr.io%2Fx', '/v2/a.tenant%2Fghcr.io%2Fx'],
    ['/v2/a%2etenant%2ECAP%2Fx', '/v2/a%2etenant%2Fx'],
    ['"localhost:7439/a.tenant.CAP": not found', '"localhost:7439/a.tenant": not found'],
    ['a.tenant.CAP:1 and b.tenant.CAP', 'a.tenant:1 and b.tenant'],
    ['"/v2/a.tenant.0123456789abcdefgh"', '"/v2/a.tenant"'],
    ['x.tenant.internal/y', 'x.tenant.internal/y'],
    ['x.tenant.CAPw/y', 'x.tenant.CAPw/y'],
  ])('in names of private images are hidden: %s', (given, expected) => {
    const filled = (text: string): string => text.replaceAll('CAP', '0123456789abcdefghijklmnov');
    expect(redactText(filled(given))).toBe(filled(expected));
    const { log, lines } = capture();
    log.info('a', { images: [filled(given)], error: new Error(filled(given)) });
    expect(lines).toMatchObject([{ images: [filled(expected)], error: { message: filled(expected) } }]);
  });

  it('are looked for in linear time', () => {
    const startedAt = performance.now();
    for (const part of ['.tenant.', '.tenant.0123456789abcdefghijklmnopqrstuv', 'a'])
      redactText(part.repeat(20_000));
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  });

  it('in URLs, messages and causes of errors are hidden', () => {
    const secret = 'https://x.example/?sig=hunter2';
    const value = { url: new URL(secret), error: new Error(secret, { cause: new Error(secret) }) };
    expect(JSON.stringify(redact(value))).not.toContain('hunter2');
  });

  it('in objects that contain themselves do not hang the logger', () => {
    const loop: Record<string, unknown> = {};
    loop['self'] = loop;
    expect(JSON.stringify(redact(loop))).toContain('[too deep]');
  });
});
