/** Storage for claims: the clusters have no provisioner, so volumes are made beforehand. */

export interface StaticVolume {
  readonly name: string;
  readonly node: string;
  /** As Kubernetes writes it: `1Gi`. */
  readonly storage: string;
}

/**
 * A PersistentVolume without a class, in a folder of the node; it binds to a claim with `storageClassName:
 * ""`.
 */
export function staticVolume({ name, node, storage }: StaticVolume): object {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name },
    spec: {
      capacity: { storage },
      accessModes: ['ReadWriteOnce'],
      persistentVolumeReclaimPolicy: 'Retain',
      storageClassName: '',
      hostPath: { path: `/var/lib/volumes/${name}`, type: 'DirectoryOrCreate' },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [node] }] },
          ],
        },
      },
    },
  };
}
