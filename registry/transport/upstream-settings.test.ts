import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endpointsOf, readUpstreamSettings, settingsFor } from './upstream-settings.ts';

describe('endpointsOf', () => {
  it.each([
    ['docker.io', 'https://registry-1.docker.io'],
    ['ghcr.io', 'https://ghcr.io'],
    ['reg.example.com:5000', 'https://reg.example.com:5000'],
    ['[2001:db8::1]:5000', 'https://[2001:db8::1]:5000'],
    ['localhost:5000', 'http://localhost:5000'],
    ['127.0.0.1:5000', 'http://127.0.0.1:5000'],
    ['[::1]:5000', 'http://[::1]:5000'],
    ['plain.example:5000', 'http://plain.example:5000'],
    ['localhost:6000', 'https://localhost:6000'],
  ])('%s is reached at %s', (host, origin) => {
    const settings = [
      { host: 'plain.example:*', plainHttp: true },
      { host: 'localhost:6000', plainHttp: false },
    ];
    expect(endpointsOf(settings, host).map((endpoint) => endpoint.origin)).toEqual([origin]);
  });

  it('asks alternatives in order, and only them', () => {
    const endpoints = ['https://mirror.example/ignored', 'http://10.0.0.1:5000'];
    expect(endpointsOf([{ host: 'docker.io', endpoints }], 'docker.io').map(({ origin }) => origin)).toEqual([
      'https://mirror.example',
      'http://10.0.0.1:5000',
    ]);
  });
});

describe('credentials of a host', () => {
  const hosts = (more: object, ...endpoints: string[]): string[] =>
    endpointsOf([{ host: 'docker.io', endpoints, ...more }], 'docker.io').map(
      ({ credentialHost }) => credentialHost,
    );

  it('are for the registry itself, also where it has another name', () => {
    expect(hosts({})).toEqual(['docker.io']);
    expect(hosts({}, 'https://mirror.example:5000', 'https://registry-1.docker.io')).toEqual([
      'mirror.example:5000',
      'docker.io',
    ]);
  });

  it('are shown to its other endpoints when an administrator says so', () => {
    expect(hosts({ shareCredentials: true }, 'https://mirror.example')).toEqual(['docker.io']);
  });
});

describe('settings', () => {
  it('for a host are those that name it, else the first that match', () => {
    const settings = [{ host: '*.example' }, { host: 'a.*' }, { host: 'a.example' }];
    expect(settingsFor(settings, 'a.example')).toBe(settings[2]);
    expect(settingsFor(settings, 'b.example')).toBe(settings[0]);
    expect(settingsFor(settings, 'a.test')).toBe(settings[1]);
    expect(settingsFor(settings, 'c.test')).toBeUndefined();
  });

  describe('from a file', () => {
    let folder: string;
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'larder-upstreams-'));
    });
    afterEach(async () => {
      await rm(folder, { recursive: true });
    });
    const write = async (content: unknown): Promise<string> => {
      const path = join(folder, 'upstreams.json');
      await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
      return path;
    };

    it('come with the certificates of the files they name', async () => {
      await writeFile(join(folder, 'ca.crt'), 'PEM');
      const path = await write([{ host: 'a.example', caFile: join(folder, 'ca.crt') }]);
      expect(await readUpstreamSettings(path)).toEqual([{ host: 'a.example', ca: '\nPEM' }]);
    });

    it.each([
      ['nonsense', 'cannot be read as JSON'],
      [{}, 'expected array'],
      [[{ host: '' }], 'host'],
      [[{ host: 'a', endpoints: ['mirror'] }], 'Invalid URL'],
      [[{ host: 'a', allowAddresses: ['everything'] }], 'must be an address or a CIDR'],
      [[{ host: 'a', plainHTTP: true }], 'plainHTTP'],
    ])('are refused with what is wrong in them: %j', async (content, message) => {
      const path = await write(content);
      await expect(readUpstreamSettings(path)).rejects.toThrow(message);
    });
  });
});
