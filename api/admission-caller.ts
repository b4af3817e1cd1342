/**
 * How the webhook knows the API server. Anybody in the cluster can send it a review and would get a name with
 * a capability back, but only the API server calls by the path that the controller wrote into the
 * MutatingWebhookConfiguration (docs/adr/0014).
 */
import { createHash, timingSafeEqual } from 'node:crypto';

/** The entry of the Secret `<full>-admission-caller`. */
export const CALLER_TOKEN_FILE = 'token';

export const REVIEW_PATH = '/mutate';

/** What a token looks like: 192 random bits, in digits that a Service's path may hold. */
export const CALLER_TOKEN = /^[0-9a-f]{48}$/;

export function callerPath(token: string): string {
  return `${REVIEW_PATH}/${token}`;
}

/** Whether a path shows that the API server calls. False as long as no token is known. */
export function isCallerPath(path: string, token: string | undefined): boolean {
  return token !== undefined && timingSafeEqual(hash(path), hash(callerPath(token)));
}

/** The token in the mounted file; undefined while there is none that could be one. */
export function readCallerToken([content]: readonly (Buffer | undefined)[]): string | undefined {
  const token = content?.toString('utf8').trim() ?? '';
  return CALLER_TOKEN.test(token) ? token : undefined;
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
