/**
 * Orders to the copier and its answers (docs/contracts.md, "The copier's API"). `…Json` types are what HTTP
 * carries.
 */
import { z } from 'zod';
import { REASONS, RegistryError } from '../registry/core/errors.ts';
import {
  describeIssue,
  digestField,
  imageField,
  namespaceField,
  objectNameField,
  platformField,
} from './fields.ts';

export const COPY_PATH = '/larder/v1/copy';
export const CHECK_PATH = '/larder/v1/check';
export const VERIFY_PATH = '/larder/v1/verify';
export const DELETE_PATH = '/larder/v1/delete';

const target = { image: imageField, tenant: namespaceField.optional() };
const pullSecrets = z.array(objectNameField).max(64).default([]);
const platforms = z.array(platformField).max(64).default([]);
const bytes = z.int().nonnegative();
const failure = {
  reason: z.enum(REASONS),
  message: z.string(),
  retryAfterSeconds: z.number().nonnegative().optional(),
};

const attached = {
  /** How many artifacts refer to the image, if they were copied. */
  referrers: z.int().nonnegative().optional(),
  /** Why they could not be copied. The image itself was. */
  referrersFailure: z.string().optional(),
};

export const copyOrderSchema = z.object({
  ...target,
  platforms,
  pullSecrets,
  /** Also copy what refers to the image: signatures, attestations, SBOMs. */
  referrers: z.boolean().optional(),
});
export type CopyOrder = z.output<typeof copyOrderSchema>;
export type CopyOrderJson = z.input<typeof copyOrderSchema>;

export const copyEventSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('progress'), completedBytes: bytes, totalBytes: bytes }),
  z.object({
    type: z.literal('done'),
    digest: digestField,
    sizeBytes: bytes,
    platforms: z.array(z.string()),
    ...attached,
  }),
  z.object({ type: z.literal('failed'), ...failure }),
]);
/** The last event is `done` or `failed`. If it is missing, the copier went away. */
export type CopyEvent = z.output<typeof copyEventSchema>;
export type CopyEventJson = z.input<typeof copyEventSchema>;

export const checkOrderSchema = z.object({
  ...target,
  pullSecrets,
  /** Also copy what was attached to the image since it was copied. */
  referrers: z.boolean().optional(),
});
export type CheckOrder = z.output<typeof checkOrderSchema>;

export const checkAnswerSchema = z.discriminatedUnion('upstream', [
  z.object({ upstream: z.literal('Available'), digest: digestField, ...attached }),
  z.object({ upstream: z.literal('Unavailable'), ...failure }),
]);
export type CheckAnswer = z.output<typeof checkAnswerSchema>;
export type CheckAnswerJson = z.input<typeof checkAnswerSchema>;

export const verifyOrderSchema = z.object({ ...target, platforms });
export type VerifyOrder = z.output<typeof verifyOrderSchema>;

export const verifyAnswerSchema = z.discriminatedUnion('complete', [
  z.object({
    complete: z.literal(true),
    digest: digestField,
    sizeBytes: bytes,
    /** The platforms of the index; empty without an index. */
    platforms: z.array(z.string()).default([]),
  }),
  /** `missing`: digests of blobs and manifests; empty when even the tag is missing. */
  z.object({ complete: z.literal(false), missing: z.array(digestField) }),
]);
export type VerifyAnswer = z.output<typeof verifyAnswerSchema>;
export type VerifyAnswerJson = z.input<typeof verifyAnswerSchema>;

export const deleteOrderSchema = z.object(target);
export type DeleteOrder = z.output<typeof deleteOrderSchema>;

/**
 * Parses an order or an answer.
 * @throws RegistryError with reason `Invalid`; its message says what is wrong
 */
export function parseMessage<T extends z.ZodType>(schema: T, json: unknown): z.output<T> {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  throw new RegistryError(describeIssue(result.error), { reason: 'Invalid', code: 'UNSUPPORTED' });
}
