import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SELF_TEST_IMAGE } from '../../api/self-test.ts';
import { systemClock } from '../../platform/clock.ts';
import { silentLogger } from '../../platform/log.ts';
import type { Running } from '../../platform/run.ts';
import { waitFor } from '../../test/cluster/wait.ts';
import { SelfTest } from './self-test.ts';

describe("a proxy's test of itself", () => {
  let folder: string;
  let server: Server;
  let running: Running;
  let serve = true;
  let damage = '';
  let selfTest: SelfTest;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'larder-socket-'));
    const socketPath = join(folder, 'proxy.sock');
    const { manifest, blob } = SELF_TEST_IMAGE;
    const contents = new Map([manifest, blob].map(({ digest, bytes }) => [digest as string, bytes]));
    server = createServer((req, res) => {
      const bytes = contents.get(req.url?.split('/').at(-1) ?? '');
      // As CNCF distribution does it.
      const accepted = req.headers.accept?.includes(manifest.mediaType) ?? false;
      if (serve && bytes && accepted && req.url?.startsWith('/v2/larder.invalid/self-test/'))
        res.end(`${bytes.toString()}${damage}`);
      else res.writeHead(503).end();
    }).listen(socketPath);
    await once(server, 'listening');
    selfTest = new SelfTest({
      socketPath,
      intervalMs: 10,
      deadlineMs: 1_000,
      clock: systemClock,
      log: silentLogger,
    });
    expect(selfTest.problem()).toMatch('no image was read');
    running = await selfTest.component().start(new AbortController().signal);
  });

  afterAll(async () => {
    await running.stop();
    server.close();
    await rm(folder, { recursive: true });
  });

  const becomes = (what: string | undefined) =>
    waitFor(
      'the verdict',
      () => Promise.resolve(selfTest.problem() === what || (what && selfTest.problem()?.includes(what))),
      {
        deadlineMs: 5_000,
        intervalMs: 5,
      },
    );

  it('passes when the image comes through', async () => {
    await becomes(undefined);
    expect(selfTest.problem()).toBeUndefined();
  });

  it('fails when the image does not come, and passes again by itself', async () => {
    serve = false;
    await becomes('the status was 503');
    serve = true;
    await becomes(undefined);
    expect(selfTest.problem()).toBeUndefined();
  });

  it('fails when the image comes back changed', async () => {
    damage = ' ';
    await becomes('came back changed');
    damage = '';
    await becomes(undefined);
    expect(selfTest.problem()).toBeUndefined();
  });
});
