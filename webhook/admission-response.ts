/** From the body of a request to the body of the response. Every Pod is admitted, whatever goes wrong. */
import type { Logger } from '../platform/log.ts';
import {
  allow,
  InvalidReview,
  parseReview,
  type AdmissionRequest,
  type JsonObject,
} from './admission-review.ts';
import type { AdmissionMetrics } from './admission-metrics.ts';
import { diff } from './patch.ts';
import { rewritePod, type SkippedImage, type ClusterState } from './rewrite.ts';

/** kubectl prints every warning; more would bury what the API server itself has to say. */
const MAX_WARNINGS = 20;
const MAX_QUOTED = 80;

const UNKNOWN_CALLER = { missing: 'the caller of the webhook has not shown that it is the API server' };

export interface AdmissionOptions {
  /** Called for every review. Undefined while nothing is known; Pods are then left alone. */
  readonly clusterState: () => ClusterState | undefined;
  readonly metrics: AdmissionMetrics;
  readonly log: Logger;
}

/**
 * @param body JSON text
 * @param fromApiServer whether the caller has shown that it is the API server; nobody else gets a capability
 * @throws {InvalidReview} when the body is not an AdmissionReview of v1
 */
export function respond(body: string, fromApiServer: boolean, options: AdmissionOptions): JsonObject {
  const request = parseReview(parseJson(body));
  try {
    return review(request, fromApiServer, options);
  } catch (error) {
    const { uid, namespace, name: pod } = request;
    options.metrics.reviews.inc({ outcome: 'failed' });
    options.log.error('review failed, the pod is admitted as it is', { uid, namespace, pod, error });
    return allow(uid);
  }
}

function review(
  request: AdmissionRequest,
  fromApiServer: boolean,
  { clusterState, metrics, log }: AdmissionOptions,
): JsonObject {
  const { uid, namespace } = request;
  const known = clusterState();
  if (request.pod === undefined || known === undefined) return allow(uid);
  const { pod, cached, skipped, explain } = rewritePod(
    request.pod,
    request,
    fromApiServer ? known : { ...known, capabilities: UNKNOWN_CALLER },
  );
  const patch = pod === request.pod ? [] : diff(request.pod, pod);
  metrics.reviews.inc({ outcome: patch.length > 0 ? 'rewritten' : 'unchanged' });
  for (const { reason } of skipped) metrics.skipped.inc({ reason });
  log.debug('reviewed', { uid, namespace, pod: request.name, cached, skipped });
  // An image that cannot be parsed is a mistake, so its author is warned unasked.
  const warned = skipped.filter(({ reason }) => explain || reason === 'Unparsable');
  return allow(uid, patch, warned.slice(0, MAX_WARNINGS).map(explanation));
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new InvalidReview('the body is not JSON');
  }
}

function explanation({ key, image, reason, message }: SkippedImage): string {
  return `larder: ${key}: image ${quote(image)} is not sent through the cache: ${message} (${reason})`;
}

function quote(text: string): string {
  return JSON.stringify(text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text);
}
