import { silentLogger } from '../log.ts';
import { EventRecorder } from './events.ts';

it('an Event tells of an image without the capability in its name, even where the note is cut', async () => {
  const written: unknown[] = [];
  const recorder = new EventRecorder({
    client: {
      create: (...args: unknown[]) => Promise.resolve(written.push(args)) as Promise<never>,
      patch: () => Promise.reject(new Error('nothing to update')),
    },
    log: silentLogger,
    controller: 'larder.dev/test',
    instance: 'one',
  });
  const regarding = { apiVersion: 'v1', kind: 'Pod', name: 'app', namespace: 'team-a' };
  const name = 'team-a.tenant.0123456789abcdefghijklmnov/ghcr.io/acme/app:7';
  for (const before of ['', 'x'.repeat(990)])
    recorder.record({ regarding, type: 'Normal', reason: 'A', action: 'B', note: `${before}${name}` });
  await recorder.flush();
  expect(written).toHaveLength(2);
  expect(JSON.stringify(written)).not.toContain('0123');
  expect(JSON.stringify(written)).toContain('team-a.tenant/ghcr.io/acme/app:7');
});
