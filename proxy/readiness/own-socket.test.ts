import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Running } from '../../platform/run.ts';
import { ownSocket } from './own-socket.ts';

describe('the socket of this very proxy', () => {
  let folder: string;
  let path: string;
  let running: Running;
  let works = false;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'larder-socket-'));
    path = join(folder, 'proxy.sock');
    // What a container that was killed leaves behind.
    await writeFile(path, '');
    const socket = ownSocket({ path, pulls: (_, response) => response.end('pulled'), works: () => works });
    running = await socket.start(new AbortController().signal);
  });

  afterAll(async () => {
    await running.stop();
    await rm(folder, { recursive: true });
  });

  /** Exit code of the startup probe. */
  async function probe(socket = path): Promise<unknown> {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'startup-probe.ts'), socket], {
      stdio: 'ignore',
    });
    const [code] = (await once(child, 'close')) as unknown[];
    return code;
  }

  it('tells the startup probe whether an image could be read through it', async () => {
    expect(await probe()).toBe(1);
    works = true;
    expect(await probe()).toBe(0);
  });

  it('is no proxy that works when nobody answers', async () => {
    expect(await probe(join(folder, 'nobody.sock'))).toBe(1);
  });

  it('answers pulls', async () => {
    const call = request({ socketPath: path, path: '/v2/' }).end();
    const [response] = (await once(call, 'response')) as [NodeJS.ReadableStream];
    expect(await text(response)).toBe('pulled');
  });
});
