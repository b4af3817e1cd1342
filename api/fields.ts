/** Fields that our schemas share. They parse into domain values, and say in one sentence what is wrong. */
import { z } from 'zod';
import { parseDigest } from '../registry/core/digest.ts';
import { RegistryError } from '../registry/core/errors.ts';
import { parsePlatform } from '../registry/core/platform.ts';
import { parseReference } from '../registry/core/reference.ts';

/**
 * A string that a domain parser turns into a value. What the parser refuses becomes an issue of the schema.
 */
function parsed<T>(parse: (text: string) => T) {
  return z.string().transform((text, context): T => {
    try {
      return parse(text);
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error;
      context.addIssue({ code: 'custom', message: error.message });
      return z.NEVER;
    }
  });
}

export const imageField = parsed(parseReference);
export const digestField = parsed(parseDigest);
export const platformField = parsed(parsePlatform);
export const namespaceField = z
  .string()
  .max(63)
  .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, 'must be the name of a namespace');
export const objectNameField = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, 'must be the name of an object');

const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/;
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A duration as in our settings (`30s`, `1h30m`, `30d`); its value is in milliseconds. */
export const durationField = z.string().transform((text, context) => {
  if (!DURATION.test(text)) {
    context.addIssue({ code: 'custom', message: 'must be a duration, for example 30s, 1h30m or 30d' });
    return z.NEVER;
  }
  const parts = [...text.matchAll(/([\d.]+)(ms|s|m|h|d)/g)];
  return parts.reduce((sum, [, value, unit]) => sum + Number(value) * (UNIT_MS[unit ?? ''] ?? 0), 0);
});

/** The first issue, as one sentence. */
export function describeIssue(error: z.ZodError): string {
  const [issue] = error.issues;
  if (issue === undefined) return 'invalid';
  return issue.path.length === 0 ? issue.message : `${issue.path.join('.')}: ${issue.message}`;
}
