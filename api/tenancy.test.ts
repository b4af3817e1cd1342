import { parseReference } from '../registry/core/reference.ts';
import { tenantOf } from './tenancy.ts';

const rules = { publicRepositories: ['docker.io/library/*', 'registry.k8s.io/*'] };
const withSecret = { namespace: 'team-a', pullSecrets: [{ name: 'regcred' }] };
const withoutSecret = { namespace: 'team-a', pullSecrets: [] };

describe('tenantOf', () => {
  it('is the namespace of a pod that has pull secrets', () => {
    expect(tenantOf(parseReference('ghcr.io/acme/app:7'), withSecret, rules)).toBe('team-a');
  });

  it('is nobody when the pod has none', () => {
    expect(tenantOf(parseReference('ghcr.io/acme/app:7'), withoutSecret, rules)).toBeUndefined();
  });

  it.each(['nginx', 'docker.io/library/redis:7', 'registry.k8s.io/sig-storage/csi-provisioner:v5'])(
    'is nobody for %s, which the administrator lists as public',
    (image) => {
      expect(tenantOf(parseReference(image), withSecret, rules)).toBeUndefined();
    },
  );

  it.each(['bitnami/redis', 'evil.example/docker.io/library/nginx'])(
    'is the namespace for %s, which only looks like a listed one',
    (image) => {
      expect(tenantOf(parseReference(image), withSecret, rules)).toBe('team-a');
    },
  );
});
