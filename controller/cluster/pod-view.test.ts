import { formatReference } from '../../registry/core/reference.ts';
import { parseCachePolicy } from '../../api/cache-policy.ts';
import { viewPod, wantedImages } from './pod-view.ts';
import { pod, SCOPE } from '../test-objects.ts';
import type { Pod } from '../../platform/kube/resource.ts';

function wanted(subject: Pod, optedIn = true, scope = SCOPE): string[] {
  const view = viewPod(subject);
  const images = view === undefined ? [] : wantedImages(view, optedIn, scope);
  return images.map(({ reference, tenant }) => `${tenant ?? '-'} ${formatReference(reference)}`);
}

const PULL_SECRETS = { imagePullSecrets: [{ name: 'regcred' }] };

describe('what a pod wants of the cache', () => {
  it('is every image that it pulls, each once, normalised', () => {
    const subject = pod('nginx', {
      spec: {
        containers: [
          { name: 'a', image: 'nginx' },
          { name: 'b', image: 'nginx' },
        ],
        initContainers: [{ name: 'c', image: 'ghcr.io/acme/init:1' }],
        ephemeralContainers: [{ name: 'd', image: 'busybox:1.37' }],
        volumes: [{ name: 'models', image: { reference: 'ghcr.io/acme/models:2' } }],
      },
    });
    expect(wanted(subject)).toEqual([
      '- ghcr.io/acme/init:1',
      '- docker.io/library/nginx:latest',
      '- docker.io/library/busybox:1.37',
      '- ghcr.io/acme/models:2',
    ]);
  });

  it('is the same whether or not admission rewrote it', () => {
    const rewritten = pod('localhost:7439/docker.io/library/nginx:1.27', {
      metadata: { labels: { 'larder.dev/rewritten': 'true' } },
    });
    expect(wanted(rewritten)).toEqual(wanted(pod('nginx:1.27')));
  });

  it('is the digest alone when a tag stands beside it', () => {
    const digest = `sha256:${'b'.repeat(64)}`;
    expect(wanted(pod(`nginx:1.27@${digest}`))).toEqual([`- docker.io/library/nginx@${digest}`]);
  });

  it('belongs to the namespace when the pod has pull secrets and the image is not listed as public', () => {
    const containers = [
      { name: 'a', image: 'ghcr.io/acme/app:7' },
      { name: 'b', image: 'nginx' },
    ];
    expect(wanted(pod('', { spec: { ...PULL_SECRETS, containers } }))).toEqual([
      'team-a ghcr.io/acme/app:7',
      '- docker.io/library/nginx:latest',
    ]);
  });

  it('follows the path that admission wrote, whatever the list of public repositories says by now', () => {
    const images = [
      'localhost:7439/team-a.tenant/docker.io/library/nginx:1',
      'localhost:7439/ghcr.io/acme/app:7',
    ];
    const containers = images.map((image, index) => ({ name: String(index), image }));
    expect(wanted(pod('', { spec: { ...PULL_SECRETS, containers } }))).toEqual([
      'team-a docker.io/library/nginx:1',
      '- ghcr.io/acme/app:7',
    ]);
  });

  it('is never the image of a foreign tenant', () => {
    expect(wanted(pod('localhost:7439/team-b.tenant/ghcr.io/acme/app:7'))).toEqual(['- ghcr.io/acme/app:7']);
  });

  it.each([
    ['finished', pod('nginx', { status: { phase: 'Succeeded' } })],
    ['failed', pod('nginx', { status: { phase: 'Failed' } })],
    ['opted out', pod('nginx', { metadata: { labels: { 'larder.dev/cache': 'disabled' } } })],
    [
      'the mirror of a static pod',
      pod('nginx', { metadata: { annotations: { 'kubernetes.io/config.mirror': 'x' } } }),
    ],
    ['in an excluded namespace', pod('nginx', { metadata: { namespace: 'kube-system' } })],
    [
      'never pulling',
      pod('', { spec: { containers: [{ name: 'a', image: 'nginx', imagePullPolicy: 'Never' }] } }),
    ],
    ['using another registry on the node', pod('localhost:5000/nginx')],
    ['naming what is no image', pod('NGINX::')],
  ])('is nothing when the pod is %s', (_, subject) => {
    expect(wanted(subject)).toEqual([]);
  });

  it('is nothing that a policy keeps out of the cache, unless admission has sent it there before', () => {
    const policies = [parseCachePolicy({ metadata: { name: 'p' }, spec: { cache: false } })];
    const scope = { ...SCOPE, policies };
    expect(wanted(pod('nginx:1'), true, scope)).toEqual([]);
    expect(wanted(pod('localhost:7439/docker.io/library/nginx:1'), true, scope)).toEqual([
      '- docker.io/library/nginx:1',
    ]);
  });

  it('is nothing in a namespace that did not ask, unless admission has rewritten the pod', () => {
    const labels = { 'larder.dev/rewritten': 'true', 'larder.dev/cache': 'disabled' };
    expect(wanted(pod('nginx'), false)).toEqual([]);
    expect(wanted(pod('localhost:7439/docker.io/library/nginx:1', { metadata: { labels } }), false)).toEqual([
      '- docker.io/library/nginx:1',
    ]);
  });
});
