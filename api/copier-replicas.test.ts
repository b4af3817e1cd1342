import { ownerFromRedirect } from './copier-replicas.ts';

const ASKED = new URL('https://10.96.0.9:7441');
const OWNER = 'https://10.0.0.2:7441/v2/docker.io/library/nginx/manifests/1';

describe('the owner of a repository', () => {
  it('is where a replica sends us to', () => {
    expect(ownerFromRedirect(307, OWNER, ASKED)?.href).toBe('https://10.0.0.2:7441/');
  });

  it.each([
    ['another status', 302, OWNER],
    ['no address', 307, undefined],
    ['no URL', 307, '/v2/'],
    ['an address without TLS', 307, OWNER.replace('https', 'http')],
  ])('is not told by %s', (_, status, location) => {
    expect(ownerFromRedirect(status, location, ASKED)).toBeUndefined();
  });
});
