/**
 * Decides about a made-up Pod at the start: the first decision of a process compiles the code, and no real
 * Pod should wait for that.
 */
import { randomBytes } from 'node:crypto';
import { silentLogger } from '../platform/log.ts';
import { Metrics } from '../platform/metrics.ts';
import { NOTHING_ALLOWED } from '../api/rules.ts';
import { type CapabilityKey, makeCapability } from '../registry/core/capability.ts';
import { admissionMetrics } from './admission-metrics.ts';
import { respond, type AdmissionOptions } from './admission-response.ts';
import type { JsonObject } from './admission-review.ts';

/** Further rounds would save less time than they take. */
const ROUNDS = 30;
const ANYTHING = { images: ['*'], namespaces: ['*'] };

/** Nobody accepts what it signs. */
const KEY: CapabilityKey = { secret: randomBytes(32), signsFrom: 0 };

const OPTIONS: AdmissionOptions = {
  clusterState: () => ({
    proxyAddress: 'localhost:7439',
    capabilities: { of: (name) => makeCapability(name, KEY) },
    rules: { ...NOTHING_ALLOWED, include: ANYTHING, publicRepositories: ['docker.io/library/*'] },
    policies: [],
    gate: { open: true },
    hasProxy: () => true,
  }),
  metrics: admissionMetrics(new Metrics('warm-up'), () => true),
  log: silentLogger,
};

const container = { env: [{ name: 'A', value: 'b' }], imagePullPolicy: 'IfNotPresent' };
const REVIEW = JSON.stringify({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: {
    uid: 'warm-up',
    operation: 'CREATE',
    resource: { group: '', version: 'v1', resource: 'pods' },
    namespace: 'warm-up',
    object: {
      metadata: { generateName: 'warm-up-', labels: { app: 'web' } },
      spec: {
        imagePullSecrets: [{ name: 'login' }],
        containers: ['nginx', 'ghcr.io/acme/app:7'].map((image, n) => ({
          ...container,
          name: `c${n}`,
          image,
        })),
      },
    },
  },
});

/** Takes about 20 ms. Returns the last response. */
export function warmUp(): JsonObject {
  let last: JsonObject = {};
  for (let round = 0; round < ROUNDS; round += 1) last = respond(REVIEW, true, OPTIONS);
  return last;
}
