/** The API of the store's supervisor (docs/contracts.md, "The store's supervisor"). */
import { z } from 'zod';

/** Audience of the tokens for the supervisor. */
export const STORE_SUPERVISOR_AUDIENCE = 'larder-store-supervisor';

export const collectionSchema = z.object({
  /** RFC 3339. */
  startedAt: z.iso.datetime(),
  /** How long the writing registry was away, draining included. */
  seconds: z.number().nonnegative(),
  /** Bytes on disk that were won; null where they cannot be counted (object stores). */
  freedBytes: z.number().nullable(),
  /** Why it failed; absent when it did not. */
  error: z.string().optional(),
});
export type Collection = z.infer<typeof collectionSchema>;

export const storeStatusSchema = z.object({
  /** Of the volume: another one is empty, or holds something else. Null where images are kept in an object store. */
  volumeId: z.string().nullable(),
  state: z.enum(['serving', 'draining', 'collecting']),
  reader: z.object({ ready: z.boolean() }),
  writer: z.object({ ready: z.boolean() }),
  /** In bytes; null where images are kept in an object store. */
  volume: z.object({ usedBytes: z.number(), freeBytes: z.number(), sizeBytes: z.number() }).nullable(),
  lastCollection: collectionSchema.nullable(),
});
export type StoreStatus = z.infer<typeof storeStatusSchema>;
