import type { ServerResponse } from 'node:http';
import { CopierBench, until } from '../../test/fakes/copier-bench.ts';
import { testImage } from '../../test/fakes/images.ts';
import { digestOf } from '../../registry/core/digest.ts';

const base = Buffer.alloc(1_000_000, 'base layer');
const baseDigest = digestOf(base);
const first = testImage([base, 'first']);
const second = testImage([base, 'second']);
const regcred = {
  type: 'kubernetes.io/dockerconfigjson',
  data: { '.dockerconfigjson': Buffer.from('{"auths":{}}').toString('base64') },
};

let bench: CopierBench;

beforeEach(async () => {
  bench = await CopierBench.start();
  bench.offer(first, '1', 'acme/first');
  bench.offer(second, '1', 'acme/second');
});

afterEach(async () => {
  await bench.stop();
});

function fetched(): number {
  return bench.upstream.count('GET', baseDigest);
}

function stored(repository: string, tenant?: string): boolean {
  return bench.store.repository(bench.name(tenant, repository)).blobs.has(baseDigest);
}

/** Upstream sends half of the shared layer, and the rest when it is let. */
function holdBase(): { begun: Promise<undefined>; release: () => void; breakOff: () => void } {
  const begun = Promise.withResolvers<undefined>();
  const held = Promise.withResolvers<'rest' | 'nothing'>();
  bench.upstream.intercept = async ({ url, method }, response: ServerResponse) => {
    if (method !== 'GET' || !url?.endsWith(`/blobs/${baseDigest}`)) return false;
    response.writeHead(200, { 'content-length': base.length }).write(base.subarray(0, 500_000));
    begun.resolve(undefined);
    if ((await held.promise) === 'rest') response.end(base.subarray(500_000));
    else response.destroy();
    return true;
  };
  return {
    begun: begun.promise,
    release: () => {
      held.resolve('rest');
    },
    breakOff: () => {
      held.resolve('nothing');
    },
  };
}

describe('a layer that another image brought in', () => {
  it('is linked, not fetched, when an image is copied', async () => {
    expect(await bench.copy('acme/first')).toMatchObject({ type: 'done' });
    expect(await bench.copy('acme/second')).toMatchObject({ type: 'done' });
    expect([fetched(), stored('acme/first'), stored('acme/second')]).toEqual([1, true, true]);
  });

  it('is given to who pulls, and the image is stored all the same', async () => {
    await bench.copy('acme/first');
    const path = `/v2/${bench.name(undefined, 'acme/second')}`;
    await bench.ask(`${path}/manifests/1`);
    expect((await bench.ask(`${path}/blobs/${baseDigest}`)).body.equals(base)).toBe(true);
    await until(() => bench.store.repository(bench.name(undefined, 'acme/second')).tags.has('1'));
    expect(fetched()).toBe(1);
  });

  it('is read along while it is on its way, and linked when it is there', async () => {
    const { begun, release } = holdBase();
    const copying = bench.copy('acme/first');
    await begun;
    const path = `/v2/${bench.name(undefined, 'acme/second')}`;
    await bench.ask(`${path}/manifests/1`);
    const pulling = bench.ask(`${path}/blobs/${baseDigest}`);
    const second = bench.copy('acme/second');
    release();
    expect((await pulling).body.equals(base)).toBe(true);
    expect([await copying, await second]).toMatchObject([{ type: 'done' }, { type: 'done' }]);
    expect(fetched()).toBe(1);
  });

  it('is fetched when the registry that it was coming from breaks off for good', async () => {
    const { begun, breakOff } = holdBase();
    const copying = bench.copy('acme/first');
    await begun;
    bench.upstream.intercept = ({ url }, response) => {
      if (!url?.startsWith('/v2/acme/first/')) return false;
      response.writeHead(403).end();
      return true;
    };
    const second = bench.copy('acme/second');
    breakOff();
    expect([await copying, await second]).toMatchObject([{ type: 'failed' }, { type: 'done' }]);
  });

  it('is fetched when the store does not link', async () => {
    await bench.copy('acme/first');
    bench.store.intercept = ({ url }, response) => {
      if (!url?.includes('mount=')) return false;
      response.writeHead(405).end();
      return true;
    };
    expect(await bench.copy('acme/second')).toMatchObject({ type: 'done' });
    expect(fetched()).toBe(2);
  });

  it('is fetched when the store has lost it', async () => {
    await bench.copy('acme/first');
    for (const name of [bench.name(undefined, 'acme/first'), 'larder.invalid/blobs'])
      bench.store.repository(name).blobs.delete(baseDigest);
    expect(await bench.copy('acme/second')).toMatchObject({ type: 'done' });
    expect(fetched()).toBe(2);
  });
});

describe('what was fetched with the credentials of a namespace', () => {
  const teamA = { tenant: 'team-a', pullSecrets: ['regcred'] };

  beforeEach(() => {
    bench.secretNames = ['regcred'];
    for (const tenant of ['team-a', 'team-b']) bench.secrets.set(`${tenant}/regcred`, regcred);
  });

  it('is linked for other images of that namespace', async () => {
    await bench.copy('acme/first', teamA);
    expect(await bench.copy('acme/second', teamA)).toMatchObject({ type: 'done' });
    expect([fetched(), stored('acme/second', 'team-a')]).toEqual([1, true]);
  });

  it.each([['team-b'], [undefined]])(
    'is given to nobody else: not to %s, whose registry names it but does not have it',
    async (tenant) => {
      await bench.copy('acme/first', teamA);
      bench.upstream.repository('acme/second').blobs.delete(baseDigest);
      const order = tenant === undefined ? {} : { ...teamA, tenant };
      expect(await bench.copy('acme/second', order)).toMatchObject({ type: 'failed', reason: 'NotFound' });
      const path = `/v2/${bench.name(tenant, 'acme/second')}`;
      expect((await bench.ask(`${path}/manifests/1`)).status).toBe(200);
      expect((await bench.ask(`${path}/blobs/${baseDigest}`)).status).toBe(404);
      expect(stored('acme/second', tenant)).toBe(false);
    },
  );

  it('is not read along by others while it is on its way', async () => {
    const { begun, release } = holdBase();
    const copying = bench.copy('acme/first', teamA);
    await begun;
    bench.upstream.intercept = () => false;
    bench.upstream.repository('acme/second').blobs.delete(baseDigest);
    const path = `/v2/${bench.name('team-b', 'acme/second')}`;
    await bench.ask(`${path}/manifests/1`);
    expect((await bench.ask(`${path}/blobs/${baseDigest}`)).status).toBe(404);
    release();
    await copying;
  });

  it('may contain what is public, which is linked', async () => {
    await bench.copy('acme/first');
    expect(await bench.copy('acme/second', teamA)).toMatchObject({ type: 'done' });
    expect(fetched()).toBe(1);
  });

  it('is not given, public though it is, to who knows a digest only', async () => {
    await bench.copy('acme/first');
    bench.upstream.repository('acme/second').blobs.delete(baseDigest);
    const path = `/v2/${bench.name('team-b', 'acme/second')}/blobs/${baseDigest}`;
    expect((await bench.ask(path)).status).toBe(404);
  });
});
