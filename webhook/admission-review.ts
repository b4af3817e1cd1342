/** AdmissionReview (admission.k8s.io/v1): the API server's request, parsed once, and our response. */
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

/**
 * What the API server asks about. Objects stay as they arrived: whatever we do not change must go back
 * identical.
 */
export interface AdmissionRequest {
  readonly uid: string;
  readonly namespace: string;
  /** Empty for a Pod whose name is still to be generated. */
  readonly name: string;
  /** The Pod to be stored; undefined for a deletion and for anything but a Pod. */
  readonly pod: JsonObject | undefined;
  /** The Pod before an update. */
  readonly oldPod: JsonObject | undefined;
  readonly subresource: string | undefined;
}

/** The body is not an AdmissionReview of v1: the caller's mistake, HTTP 400. */
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

/**
 * The response that admits the object, with a JSON Patch (RFC 6902) if there is something to change. Larder
 * never denies.
 */
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
