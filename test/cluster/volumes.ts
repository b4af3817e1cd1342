/** Storage for claims: a cluster of the harness has no provisioner, so volumes are made beforehand. */

export interface StaticVolume {
  readonly name: string;
  readonly node: string;
  /** As Kubernetes writes it: `1Gi`. */
  readonly storage: string;
}

/** A PersistentVolume without a class, in a folder of the node; a claim with `storageClassName: ""` is bound to it. */
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
