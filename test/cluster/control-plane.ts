/** The command lines of etcd and the Kubernetes control plane; all of it runs on the first node. */
import { join } from 'node:path';
import { writeKubeconfig } from './kubeconfig.ts';
import { type Authority, createServiceAccountKey } from './pki.ts';
import { type Plan, serviceNetwork } from './slot.ts';

/** What the rest of the cluster needs to know about the control plane. */
export interface ControlPlane {
  readonly server: string;
  readonly adminKubeconfig: string;
  /** What has to run before the API server can answer, by name. */
  readonly first: Readonly<Record<string, readonly string[]>>;
  /** What needs the API server, by name. */
  readonly then: Readonly<Record<string, readonly string[]>>;
}

export interface Binaries {
  readonly etcd: string;
  readonly kubernetes: string;
}

/** Writes keys and kubeconfigs into `<folder>/pki`, and gives the command lines. */
export async function planControlPlane(
  plan: Plan,
  authority: Authority,
  binaries: Binaries,
): Promise<ControlPlane> {
  const address = `${plan.lan}.1`;
  const server = `https://${address}:6443`;
  const pki = join(plan.folder, 'pki');
  const names = [
    'kubernetes',
    'kubernetes.default',
    'kubernetes.default.svc',
    'kubernetes.default.svc.cluster.local',
  ];
  const serving = await authority.issue('kube-apiserver', {
    commonName: 'kube-apiserver',
    dns: [...names, 'localhost'],
    ip: [address, '10.96.0.1', '127.0.0.1'],
  });
  const kubeletClient = await authority.issue('kubelet-client', {
    commonName: 'kube-apiserver-kubelet-client',
    organization: 'system:masters',
  });
  const tokens = createServiceAccountKey(pki);
  const kubeconfig = (name: string, commonName: string, organization?: string): Promise<string> =>
    writeKubeconfig(authority, join(pki, `${name}.kubeconfig`), server, {
      commonName,
      ...(organization ? { organization } : {}),
    });
  const manager = await kubeconfig('controller-manager', 'system:kube-controller-manager');
  const scheduler = await kubeconfig('scheduler', 'system:kube-scheduler');
  return {
    server,
    adminKubeconfig: await kubeconfig('admin', 'larder-admin', 'system:masters'),
    first: {
      etcd: [
        join(binaries.etcd, 'etcd'),
        `--data-dir=${join(plan.folder, 'etcd')}`,
        '--listen-client-urls=http://127.0.0.1:2379',
        '--advertise-client-urls=http://127.0.0.1:2379',
        '--listen-peer-urls=http://127.0.0.1:2380',
        // A test cluster's data need not survive a power failure.
        '--unsafe-no-fsync',
        '--log-level=warn',
      ],
      'kube-apiserver': [
        join(binaries.kubernetes, 'kube-apiserver'),
        '--etcd-servers=http://127.0.0.1:2379',
        `--advertise-address=${address}`,
        '--secure-port=6443',
        `--service-cluster-ip-range=${serviceNetwork}`,
        `--client-ca-file=${authority.certFile}`,
        `--tls-cert-file=${serving.cert}`,
        `--tls-private-key-file=${serving.key}`,
        `--kubelet-client-certificate=${kubeletClient.cert}`,
        `--kubelet-client-key=${kubeletClient.key}`,
        '--kubelet-preferred-address-types=InternalIP',
        '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
        `--service-account-key-file=${tokens.publicKey}`,
        `--service-account-signing-key-file=${tokens.privateKey}`,
        '--authorization-mode=Node,RBAC',
        '--enable-admission-plugins=NodeRestriction,MutatingAdmissionWebhook,ValidatingAdmissionWebhook',
        '--allow-privileged=true',
      ],
    },
    then: {
      'kube-controller-manager': [
        join(binaries.kubernetes, 'kube-controller-manager'),
        `--kubeconfig=${manager}`,
        `--authentication-kubeconfig=${manager}`,
        `--authorization-kubeconfig=${manager}`,
        `--service-account-private-key-file=${tokens.privateKey}`,
        `--root-ca-file=${authority.certFile}`,
        '--use-service-account-credentials=true',
        '--bind-address=127.0.0.1',
        '--leader-elect=false',
      ],
      'kube-scheduler': [
        join(binaries.kubernetes, 'kube-scheduler'),
        `--kubeconfig=${scheduler}`,
        `--authentication-kubeconfig=${scheduler}`,
        `--authorization-kubeconfig=${scheduler}`,
        '--bind-address=127.0.0.1',
        '--leader-elect=false',
      ],
    },
  };
}
