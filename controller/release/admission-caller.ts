/** The token by which the webhook knows the API server: made once, and kept as long as it is one. */
import { randomBytes } from 'node:crypto';
import { CALLER_TOKEN, CALLER_TOKEN_FILE } from '../../api/admission-caller.ts';
import type { Data } from './authority.ts';

const TOKEN_BYTES = 24;

export function keepCallerToken(held: Data | undefined): Data {
  if (CALLER_TOKEN.test(callerTokenIn(held))) return held ?? {};
  return { ...held, [CALLER_TOKEN_FILE]: randomBytes(TOKEN_BYTES).toString('hex') };
}

export function callerTokenIn(held: Data | undefined): string {
  return held?.[CALLER_TOKEN_FILE] ?? '';
}
