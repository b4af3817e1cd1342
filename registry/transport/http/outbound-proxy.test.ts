import { outboundProxies, proxyFor } from './outbound-proxy.ts';

const env = {
  HTTP_PROXY: 'http://plain.example:3128',
  HTTPS_PROXY: 'secure.example:3129',
  NO_PROXY: 'corp.example, .intern.example,*.lab.example,10.0.0.0/8,fd00::/8,192.0.2.7,registry.test:5000',
};

describe('a registry', () => {
  it.each([
    ['https://ghcr.io/v2/', 'http://secure.example:3129/'],
    ['http://ghcr.io/v2/', 'http://plain.example:3128/'],
    ['https://notcorp.example/', 'http://secure.example:3129/'],
    ['https://registry.test:5001/', 'http://secure.example:3129/'],
    ['http://11.0.0.1:5000/', 'http://plain.example:3128/'],
    ['https://corp.example/', undefined],
    ['https://registry.CORP.example/', undefined],
    ['https://a.intern.example/', undefined],
    ['https://a.lab.example/', undefined],
    ['http://10.1.2.3:5000/', undefined],
    ['http://[fd00::1]:5000/', undefined],
    ['http://192.0.2.7/', undefined],
    ['https://registry.test:5000/', undefined],
  ])('%s is reached by %s', (url, proxy) => {
    expect(proxyFor(new URL(url), outboundProxies(env))?.href).toBe(proxy);
  });

  it('is reached directly when nothing is said, or everything is exempt', () => {
    expect(proxyFor(new URL('https://ghcr.io/'), outboundProxies({}))).toBeUndefined();
    expect(proxyFor(new URL('https://ghcr.io/'), outboundProxies({ ...env, NO_PROXY: '*' }))).toBeUndefined();
  });

  it('is not looked for through a proxy that is no URL, whose password nobody is told', () => {
    expect(() => outboundProxies({ HTTPS_PROXY: 'http://u:secret@:99999' })).toThrow(
      'HTTPS_PROXY is not the URL of a proxy',
    );
  });
});
