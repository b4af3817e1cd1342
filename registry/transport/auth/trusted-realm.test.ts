import { trustedRealm } from './trusted-realm.ts';

const endpoint = (origin: string, ...tokenHosts: string[]): { origin: string; tokenHosts: string[] } => ({
  origin,
  tokenHosts,
});

describe('trustedRealm', () => {
  it.each([
    ['https://registry-1.docker.io', 'https://auth.docker.io/token'],
    ['https://ghcr.io', 'https://ghcr.io/token'],
    ['https://registry.gitlab.com', 'https://gitlab.com/jwt/auth'],
    ['https://a.b.corp.co.uk:5000', 'https://login.corp.co.uk/token'],
    ['http://10.0.0.1:5000', 'http://10.0.0.1:5001/token'],
    ['https://10.0.0.1:5000', 'https://10.0.0.1/token'],
  ])('%s may use %s', async (origin, realm) => {
    expect((await trustedRealm(realm, endpoint(origin))).href).toBe(realm);
  });

  it.each([
    ['https://registry-1.docker.io', 'https://auth.docker.io.evil.example/token'],
    ['https://registry-1.docker.io', 'http://auth.docker.io/token'],
    ['https://ghcr.io', 'https://evil-ghcr.io/token'],
    ['https://a.co.uk', 'https://b.co.uk/token'],
    ['https://a.github.io', 'https://b.github.io/token'],
    ['https://10.0.0.1', 'https://10.0.0.2/token'],
    ['http://registry.local', 'http://other.local/token'],
    ['https://ghcr.io', 'file:///etc/passwd'],
    ['https://ghcr.io', '/token'],
  ])('%s may not use %s', async (origin, realm) => {
    await expect(trustedRealm(realm, endpoint(origin))).rejects.toMatchObject({ reason: 'Forbidden' });
  });

  it('takes a host that an administrator listed, and never what a URL says of a user', async () => {
    const realm = await trustedRealm(
      'https://u:p@sso.example/token',
      endpoint('https://ghcr.io', 'sso.example'),
    );
    expect(realm.href).toBe('https://sso.example/token');
  });
});
