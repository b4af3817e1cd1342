/** From the body of a request to the body of the answer: every Pod is admitted, whatever goes wrong. */
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
import { rewritePod, type SkippedImage, type Surroundings } from './rewrite.ts';

/** More would only bury the rest of what the API server has to say. */
const MAX_WARNINGS = 20;
const MAX_QUOTED = 80;

export interface AnswerOptions {
  /** Asked at every review; undefined while nothing is known, when Pods are left alone. */
  readonly surroundings: () => Surroundings | undefined;
  readonly metrics: AdmissionMetrics;
  readonly log: Logger;
}

/**
 * @param body JSON text
 * @throws {InvalidReview} when the body is no AdmissionReview of the version we speak
 */
export function answer(body: string, options: AnswerOptions): JsonObject {
  const request = parseReview(parseJson(body));
  try {
    return review(request, options);
  } catch (error) {
    const { uid, namespace, name: pod } = request;
    options.metrics.reviews.inc({ outcome: 'failed' });
    options.log.error('review failed, the pod is admitted as it is', { uid, namespace, pod, error });
    return allow(uid);
  }
}

function review(request: AdmissionRequest, { surroundings, metrics, log }: AnswerOptions): JsonObject {
  const { uid, namespace } = request;
  const known = surroundings();
  if (request.pod === undefined || known === undefined) return allow(uid);
  const { pod, cached, skipped, explain } = rewritePod(request.pod, request, known);
  const patch = pod === request.pod ? [] : diff(request.pod, pod);
  metrics.reviews.inc({ outcome: patch.length > 0 ? 'rewritten' : 'unchanged' });
  for (const { reason } of skipped) metrics.skipped.inc({ reason });
  log.debug('reviewed', { uid, namespace, pod: request.name, cached, skipped });
  // What cannot be parsed is a mistake that its author wants to hear of, asked for or not.
  const told = skipped.filter(({ reason }) => explain || reason === 'Unparsable');
  return allow(uid, patch, told.slice(0, MAX_WARNINGS).map(explanation));
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new InvalidReview('the body is no JSON');
  }
}

function explanation({ key, image, reason, message }: SkippedImage): string {
  return `larder: ${key}: image ${quote(image)} is not sent through the cache: ${message} (${reason})`;
}

function quote(text: string): string {
  return JSON.stringify(text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text);
}
