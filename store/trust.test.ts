import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../platform/log.ts';
import { acceptedKeys, readTrust } from './trust.ts';

const key = (kid: string): object => ({ kty: 'EC', crv: 'P-256', x: 'eA', y: 'eQ', kid });
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-trust-'));
  await write('reader', { keys: [key('r1')] });
  await write('writer', { keys: [key('w1')] });
});
afterEach(() => rm(folder, { recursive: true }));

async function write(role: string, content: unknown): Promise<void> {
  await writeFile(
    join(folder, `${role}.jwks.json`),
    typeof content === 'string' ? content : JSON.stringify(content),
  );
}

describe('the keys of the logins', () => {
  it('open the reader to both logins and the writer to its own only', async () => {
    const trust = (await readTrust(folder, silentLogger)).get();
    const ids = (role: 'reader' | 'writer'): string[] => acceptedKeys(trust, role).keys.map(({ kid }) => kid);
    expect(ids('reader')).toEqual(['r1', 'w1']);
    expect(ids('writer')).toEqual(['w1']);
  });

  it('follow their files, and stay as they were while a file cannot be read', async () => {
    const trust = await readTrust(folder, silentLogger);
    await write('reader', { keys: [key('r1'), key('r2')] });
    await trust.refresh();
    await write('reader', 'half a fi');
    await trust.refresh();
    expect(trust.get().reader.keys.map(({ kid }) => kid)).toEqual(['r1', 'r2']);
  });

  it('never pass a private part on', async () => {
    await write('writer', { keys: [{ ...key('w1'), d: 'private' }] });
    const trust = (await readTrust(folder, silentLogger)).get();
    expect(JSON.stringify(acceptedKeys(trust, 'writer'))).not.toContain('private');
  });

  it.each([
    ['is missing', undefined],
    ['is not JSON', '{'],
    ['holds no key', { keys: [] }],
    ['holds a symmetric key', { keys: [{ kty: 'oct', k: 'c2VjcmV0', kid: 'w1' }] }],
    ['holds a key without a name', { keys: [{ ...key('w1'), kid: undefined }] }],
  ])('are refused when a file %s, by its name', async (_, content) => {
    if (content === undefined) await rm(join(folder, 'writer.jwks.json'));
    else await write('writer', content);
    await expect(readTrust(folder, silentLogger)).rejects.toMatchObject({
      code: 'InvalidTrust',
      message: expect.stringContaining('writer.jwks.json') as string,
    });
  });
});
