import { isByDigest, parsePullPath, type PullPath } from './pull-path.ts';

const HEX = 'a'.repeat(64);

function parse(path: string): PullPath {
  const parsed = parsePullPath(path);
  if (parsed.kind === 'base') throw new Error('not in a repository');
  return parsed;
}

describe('a path of the pull API', () => {
  it('is understood as a request for what the cache calls that name', () => {
    expect(parse('/v2/team-a.tenant/reg.example.com-5000/a/b/manifests/1')).toEqual({
      kind: 'manifest',
      name: 'team-a.tenant/reg.example.com-5000/a/b',
      reference: { tag: '1' },
      cached: { tenant: 'team-a', host: 'reg.example.com:5000', repository: 'a/b' },
    });
  });

  it('has one spelling for every name, old ones without a host included', () => {
    expect(parse('/v2/nginx/manifests/1').name).toBe('docker.io/library/nginx');
    expect(parse('/v2/docker.io/nginx/manifests/1').name).toBe('docker.io/library/nginx');
  });

  it('knows what can never go stale', () => {
    expect(isByDigest(parse(`/v2/nginx/blobs/sha256:${HEX}`))).toBe(true);
    expect(isByDigest(parse(`/v2/nginx/manifests/sha256:${HEX}`))).toBe(true);
    expect(isByDigest(parse('/v2/nginx/manifests/latest'))).toBe(false);
    expect(isByDigest(parse('/v2/nginx/tags/list'))).toBe(false);
  });

  it('is refused when it names no registry that could be', () => {
    expect(() => parsePullPath('/v2/bad_.tenant/x.y/z/manifests/1')).toThrow(
      expect.objectContaining({ status: 400 }) as Error,
    );
  });
});
