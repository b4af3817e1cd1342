import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  endpointsOf,
  parseUpstreamSettings,
  settingsFor,
  upstreamFiles,
  type UpstreamSettings,
} from './upstream-settings.ts';

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

  describe('from files', () => {
    const read = (json: unknown, ...certificates: (string | undefined)[]): UpstreamSettings[] => {
      const text = typeof json === 'string' ? json : JSON.stringify(json);
      const contents = [text, ...certificates].map((each) => (each === undefined ? each : Buffer.from(each)));
      return parseUpstreamSettings(['upstreams.json', 'one.crt', 'two.crt'], contents);
    };

    it('come with the certificates of the files they name', () => {
      const entries = [
        { host: 'a', caFile: 'two.crt' },
        { host: 'b', ca: 'OWN', caFile: 'one.crt' },
      ];
      expect(read(entries, 'ONE', 'TWO')).toEqual([
        { host: 'a', ca: 'TWO' },
        { host: 'b', ca: 'OWN\nONE' },
      ]);
    });

    it('go without certificates that are not there yet', () => {
      expect(read([{ host: 'a', caFile: 'one.crt' }, { host: 'b' }], undefined)).toEqual([
        { host: 'a' },
        { host: 'b' },
      ]);
    });

    it('say which files they consist of', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'larder-upstreams-'));
      const path = join(folder, 'upstreams.json');
      const entries = [{ host: 'a', caFile: '/x' }, { host: 'b' }, { host: 'c', caFile: '/x' }];
      await writeFile(path, JSON.stringify(entries));
      expect(await upstreamFiles(path)).toEqual([path, '/x']);
      await rm(folder, { recursive: true });
    });

    it.each([
      ['nonsense', 'cannot be read as JSON'],
      [{}, 'expected array'],
      [[{ host: '' }], 'host'],
      [[{ host: 'a', endpoints: ['mirror'] }], 'Invalid URL'],
      [[{ host: 'a', allowAddresses: ['everything'] }], 'must be an address or a CIDR'],
      [[{ host: 'a', plainHTTP: true }], 'plainHTTP'],
    ])('are refused with what is wrong in them: %j', (content, message) => {
      expect(() => read(content)).toThrow(message);
    });
  });
});
