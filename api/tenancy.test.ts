import { parseReference } from '../registry/core/reference.ts';
import { tenantOf } from './tenancy.ts';

function tenant(image: string, pullSecrets: readonly string[]): string | undefined {
  const publicRepositories = ['docker.io/library/*', 'registry.k8s.io/*'];
  return tenantOf({ image: parseReference(image), namespace: 'team-a', pullSecrets, publicRepositories });
}

describe('tenantOf', () => {
  it('is the namespace of a pod that has pull secrets', () => {
    expect(tenant('ghcr.io/acme/app:7', ['regcred'])).toBe('team-a');
  });

  it('is nobody when the pod has none', () => {
    expect(tenant('ghcr.io/acme/app:7', [])).toBeUndefined();
  });

  it.each(['nginx', 'docker.io/library/redis:7', 'registry.k8s.io/sig-storage/csi-provisioner:v5'])(
    'is nobody for %s, which the administrator lists as public',
    (image) => {
      expect(tenant(image, ['regcred'])).toBeUndefined();
    },
  );

  it.each(['bitnami/redis', 'evil.example/docker.io/library/nginx'])(
    'is the namespace for %s, which only looks like a listed one',
    (image) => {
      expect(tenant(image, ['regcred'])).toBe('team-a');
    },
  );
});
