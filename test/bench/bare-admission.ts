/**
 * The yardstick for admission: a webhook that only answers, in a namespace of its own in the same cluster.
 */
import { join } from 'node:path';
import { createCa, issueServerCertificate } from '../../platform/x509.ts';
import type { Cluster } from '../cluster/cluster.ts';

/** The name of the webhook, as metrics of the API server say it. */
export const BARE_WEBHOOK = 'bare.bench.test';
/** Its Pods are sent through it, and only through it. */
export const BARE_NAMESPACE = 'bench-bare';
const PORT = 9_443;

/** It runs until the cluster ends; as long as it does not answer yet, Pods are admitted without it. */
export async function startBareWebhook(cluster: Cluster): Promise<void> {
  const node = cluster.node(2);
  const { address } = node;
  const ca = await createCa('bench', 2, Date.now());
  const { cert, key } = await issueServerCertificate(ca, [address], 1, Date.now());
  const program = join(import.meta.dirname, 'bare-webhook.ts');
  const env = { PORT: String(PORT), TLS_CERT: cert, TLS_KEY: key };
  await node.machine.start('bare-webhook', [process.execPath, program], env);
  const namespaceSelector = { matchLabels: { 'kubernetes.io/metadata.name': BARE_NAMESPACE } };
  const rule = { operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] };
  const caBundle = Buffer.from(ca.cert).toString('base64');
  await cluster.apply([
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: BARE_NAMESPACE } },
    {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: BARE_NAMESPACE },
      webhooks: [
        {
          name: BARE_WEBHOOK,
          admissionReviewVersions: ['v1'],
          clientConfig: { url: `https://${address}:${PORT}/`, caBundle },
          rules: [rule],
          namespaceSelector,
          failurePolicy: 'Ignore',
          sideEffects: 'None',
          reinvocationPolicy: 'IfNeeded',
          timeoutSeconds: 3,
        },
      ],
    },
  ]);
}
