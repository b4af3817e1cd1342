import { setTimeout as sleep } from 'node:timers/promises';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { silentLogger } from './log.ts';
import { loop, runGroup, type Component } from './run.ts';

describe('a group of components', () => {
  let told: string[];
  const part = (name: string, done?: Promise<void>): Component => ({
    name,
    start: () => {
      told.push(`start ${name}`);
      return Promise.resolve({
        ...(done ? { done } : {}),
        stop: () => {
          told.push(`stop ${name}`);
          return Promise.resolve();
        },
      });
    },
  });
  beforeEach(() => {
    told = [];
  });

  it('starts in order and stops in reverse', async () => {
    const controller = new AbortController();
    const group = runGroup([part('a'), part('b')], { signal: controller.signal, log: silentLogger });
    setImmediate(() => {
      controller.abort();
    });
    await group;
    expect(told).toEqual(['start a', 'start b', 'stop b', 'stop a']);
  });

  it('stops what was started when one cannot start', async () => {
    const bad: Component = { name: 'bad', start: () => Promise.reject(new Error('no port')) };
    const { signal } = new AbortController();
    await expect(runGroup([part('a'), bad, part('b')], { signal, log: silentLogger })).rejects.toThrow(
      'no port',
    );
    expect(told).toEqual(['start a', 'stop a']);
  });

  it('stops all when one fails later', async () => {
    const failure = Promise.withResolvers<undefined>();
    const { signal } = new AbortController();
    const group = runGroup([part('a'), part('b', failure.promise)], { signal, log: silentLogger });
    failure.reject(new Error('lost'));
    await expect(group).rejects.toThrow('lost');
    expect(told).toEqual(['start a', 'start b', 'stop b', 'stop a']);
  });

  it('does not wait forever for one that does not stop', async () => {
    const stuck: Component = {
      name: 'stuck',
      start: () => Promise.resolve({ stop: () => new Promise(() => undefined) }),
    };
    await runGroup([part('a'), stuck], { signal: AbortSignal.timeout(10), log: silentLogger, graceMs: 10 });
    expect(told).toEqual(['start a', 'stop a']);
  });

  it('gives one that says so more time than the others', async () => {
    const slow: Component = {
      name: 'slow',
      stopMs: 5_000,
      start: () =>
        Promise.resolve({
          stop: async () => {
            await sleep(50);
            told.push('stop slow');
          },
        }),
    };
    await runGroup([slow], { signal: AbortSignal.timeout(10), log: silentLogger, graceMs: 1 });
    expect(told).toEqual(['stop slow']);
  });

  it('runs a loop until it stops, and hears of its failure', async () => {
    const { signal } = new AbortController();
    const endless = await loop(
      'endless',
      (stop) =>
        new Promise((_, reject) => {
          stop.addEventListener('abort', () => {
            reject(stop.reason as Error);
          });
        }),
    ).start(signal);
    await endless.stop();
    await expect(endless.done).resolves.toBeUndefined();
    const failing = await loop('failing', () => Promise.reject(new Error('broken'))).start(signal);
    await expect(failing.done).rejects.toThrow('broken');
  });
});

describe('a main', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(import.meta.dirname, '.test-'));
    await writeFile(
      join(folder, 'main.ts'),
      `import { runMain } from '../main.ts';
       import { text } from '../settings.ts';
       await runMain({
         process: 'example', summary: 'shows', config: { mode: { env: 'MODE', help: 'a mode', schema: text() } },
         compose: ({ settings, log }) => [{ name: 'part', start: () => {
           if (settings.mode === 'fail') return Promise.reject(new Error('cannot'));
           const timer = setInterval(() => undefined, 1000);
           log.info('ready');
           return Promise.resolve({ stop: () => { clearInterval(timer); log.info('bye'); return Promise.resolve(); } });
         } }],
       });`,
    );
  });
  afterAll(async () => {
    await rm(folder, { recursive: true });
  });

  async function run(
    args: string[],
    env: Record<string, string>,
  ): Promise<{ code: unknown; stdout: string; stderr: string }> {
    const child = spawn(process.execPath, [join(folder, 'main.ts'), ...args], { env });
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk: Buffer) => {
      output.stdout += chunk.toString();
      if (output.stdout.includes('"ready"')) child.kill('SIGTERM');
    });
    child.stderr.on('data', (chunk: Buffer) => {
      output.stderr += chunk.toString();
    });
    const [code] = (await once(child, 'close')) as unknown[];
    return { code, ...output };
  }

  it('stops in order on SIGTERM', async () => {
    const { code, stdout } = await run([], { MODE: 'serve' });
    const messages = stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { message: string }).message);
    expect({ code, messages }).toEqual({
      code: 0,
      messages: ['starting', 'ready', 'stopping', 'bye', 'stopped'],
    });
  }, 20_000);

  it('exits with 2 and sentences on standard error for settings that cannot be used', async () => {
    const { code, stdout, stderr } = await run([], { LARDER_LOG_LEVEL: 'loud' });
    expect({ code, stdout, stderr }).toEqual({
      code: 2,
      stdout: '',
      stderr:
        'MODE is not set: it gives a mode.\nLARDER_LOG_LEVEL must be one of error, warn, info, debug.\n',
    });
  }, 20_000);

  it('exits with 1 when a component fails', async () => {
    const { code, stdout } = await run([], { MODE: 'fail' });
    expect(code).toBe(1);
    expect(stdout).toContain('"message":"cannot"');
  }, 20_000);

  it('prints its settings when asked for help', async () => {
    const { code, stdout } = await run(['--help'], {});
    expect(code).toBe(0);
    expect(stdout).toContain('MODE');
  }, 20_000);
});
