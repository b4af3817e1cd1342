/**
 * What the store's supervisor answers to logins that may write (docs/contracts.md, "The store's supervisor").
 */
import { z } from 'zod';

export const collectionSchema = z.object({
  /** RFC 3339. */
  startedAt: z.iso.datetime(),
  /** How long the writer was away, draining included. */
  seconds: z.number().nonnegative(),
  /** Bytes freed on disk; null where they cannot be counted (object stores). */
  freedBytes: z.number().nullable(),
  /** Why it failed; absent when it succeeded. */
  error: z.string().optional(),
});
export type Collection = z.infer<typeof collectionSchema>;

export const storeStatusSchema = z.object({
  /** Changes with the volume, so that its loss is noticed. Null where images are kept in an object store. */
  volumeId: z.string().nullable(),
  state: z.enum(['serving', 'draining', 'collecting']),
  reader: z.object({ ready: z.boolean() }),
  writer: z.object({ ready: z.boolean() }),
  /** Bytes; null where images are kept in an object store. */
  volume: z.object({ usedBytes: z.number(), freeBytes: z.number(), sizeBytes: z.number() }).nullable(),
  lastCollection: collectionSchema.nullable(),
});
export type StoreStatus = z.infer<typeof storeStatusSchema>;
