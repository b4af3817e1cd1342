/** AdmissionReview (admission.k8s.io/v1): the question of the API server, parsed once, and the answer. */
import { z } from 'zod';

const Json = z.record(z.string(), z.unknown());
export type JsonObject = Readonly<Record<string, unknown>>;

const Review = z.object({
  apiVersion: z.literal('admission.k8s.io/v1'),
  kind: z.literal('AdmissionReview'),
  request: z.object({
    uid: z.string().min(1),
    operation: z.enum(['CREATE', 'UPDATE', 'DELETE', 'CONNECT']),
    resource: z.object({ group: z.string().default(''), resource: z.string() }),
    subResource: z.string().optional(),
    namespace: z.string().default(''),
    name: z.string().default(''),
    object: Json.nullish(),
    oldObject: Json.nullish(),
  }),
});

/** What the API server asks about. Objects are left as they came: what is not ours to change must go back equal. */
export interface AdmissionRequest {
  readonly uid: string;
  readonly namespace: string;
  /** Empty for a Pod whose name is still to be generated. */
  readonly name: string;
  /** The object as it shall be; absent for a deletion and for what is no Pod. */
  readonly pod: JsonObject | undefined;
  /** The object as it was, for an update. */
  readonly oldPod: JsonObject | undefined;
  readonly subresource: string | undefined;
}

/** A body that is no AdmissionReview of the version we speak: the caller's fault, HTTP 400. */
export class InvalidReview extends Error {
  readonly code = 'InvalidReview';
  readonly status = 400;

  constructor(message: string) {
    super(message);
    this.name = 'InvalidReview';
  }
}

/** @throws {InvalidReview} */
export function parseReview(body: unknown): AdmissionRequest {
  const parsed = Review.safeParse(body);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new InvalidReview(
      `not an AdmissionReview v1: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`,
    );
  }
  const { uid, operation, resource, subResource, namespace, name, object, oldObject } = parsed.data.request;
  const isPod = resource.group === '' && resource.resource === 'pods';
  const isWrite = operation === 'CREATE' || operation === 'UPDATE';
  return {
    uid,
    namespace,
    name,
    pod: isPod && isWrite ? (object ?? undefined) : undefined,
    oldPod: isPod && operation === 'UPDATE' ? (oldObject ?? undefined) : undefined,
    subresource: subResource,
  };
}

/** The answer that admits, with an RFC 6902 patch when there is something to change. Larder never denies. */
export function allow(
  uid: string,
  patch: readonly object[] = [],
  warnings: readonly string[] = [],
): JsonObject {
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: {
      uid,
      allowed: true,
      ...(patch.length > 0
        ? { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') }
        : {}),
      ...(warnings.length > 0 ? { warnings } : {}),
    },
  };
}
