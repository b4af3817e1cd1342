import { distributionConfig, distributionEnvironment, type InstanceSettings } from './distribution-config.ts';

const settings: InstanceSettings = {
  role: 'writer',
  listen: { port: 5001 },
  debugPort: 40_000,
  jwksFile: '/run/larder/writer.jwks.json',
  httpSecret: 'secret',
  drainMs: 60_000,
  storage: { name: 'filesystem', parameters: { rootdirectory: '/data' } },
};

describe('the configuration of an instance', () => {
  it('lets the writer delete, and the reader write nothing, not even tidy up uploads', () => {
    expect(distributionConfig(settings)['storage']).toMatchObject({
      filesystem: { rootdirectory: '/data' },
      delete: { enabled: true },
      maintenance: { uploadpurging: { enabled: true } },
    });
    const reader = distributionConfig({ ...settings, role: 'reader' })['storage'];
    expect(reader).toMatchObject({
      maintenance: { readonly: { enabled: true }, uploadpurging: { enabled: false } },
    });
    expect(reader).not.toHaveProperty('delete');
  });

  it.each(['reader', 'writer'] as const)(
    'gives the %s no cache of descriptors: it would go stale',
    (role) => {
      expect(distributionConfig({ ...settings, role })['storage']).not.toHaveProperty('cache');
    },
  );

  it('accepts tokens of one algorithm only, and for the store only', () => {
    expect(distributionConfig(settings)['auth']).toMatchObject({
      token: { issuer: 'larder', service: 'larder-store', signingalgorithms: ['ES256'] },
    });
  });

  it('accepts an index whose children are not all there, and layers that lie elsewhere', () => {
    expect(distributionConfig(settings)['validation']).toEqual({
      manifests: { indexes: { platforms: 'none' }, urls: { allow: ['^https?://'] } },
    });
  });

  it('passes an object store on as it was given', () => {
    const storage = { name: 's3', parameters: { region: 'eu-west-1', bucket: 'images' } };
    const config = distributionConfig({ ...settings, storage });
    expect(config['storage']).toMatchObject({ s3: storage.parameters });
    expect(config['storage']).not.toHaveProperty('filesystem');
  });

  it.each([
    [{ port: 5000 }, ':5000'],
    [{ host: '127.0.0.1', port: 5000 }, '127.0.0.1:5000'],
    [{ host: '::1', port: 5000 }, '[::1]:5000'],
  ])('listens at %j as %s', (listen, addr) => {
    expect(distributionConfig({ ...settings, listen })['http']).toMatchObject({ addr });
  });
});

describe('the environment of an instance', () => {
  it('keeps credentials of object stores and drops what distribution would take for settings', () => {
    const env = {
      PATH: '/usr/local/bin',
      AWS_ACCESS_KEY_ID: 'id',
      // What Kubernetes sets for a Service named `registry`.
      REGISTRY_PORT: 'tcp://10.96.0.8:5000',
      REGISTRY_HTTP_SECRET: 'other',
      LARDER_STORE_DATA: '/data',
      OTEL_TRACES_EXPORTER: 'otlp',
    };
    expect(distributionEnvironment(env)).toEqual({
      PATH: '/usr/local/bin',
      AWS_ACCESS_KEY_ID: 'id',
      OTEL_TRACES_EXPORTER: 'none',
    });
  });
});
