/** Upstream's refusal as the copier repeats it: an OCI error that reaches the client with its own meaning. */
import { z } from 'zod';
import { UPSTREAM_REASON_HEADER } from '../../api/copier-headers.ts';
import { OCI_ERROR_CODES, REASONS, RegistryError, type Reason } from '../../registry/core/errors.ts';
import { BlobStream } from '../transfer/blob-stream.ts';
import type { OriginResponse } from '../transfer/response.ts';

const MAX_BODY_BYTES = 64 * 1024;

const errorSchema = z.object({
  code: z.enum(OCI_ERROR_CODES).catch('UNKNOWN'),
  message: z.string().catch(''),
});
const bodySchema = z.object({ errors: z.array(errorSchema) });

/** What upstream means, as the copier repeats it; undefined when the copier speaks of its own troubles. */
export function upstreamReason({ headers }: OriginResponse): Reason | undefined {
  return REASONS.find((reason) => reason === headers[UPSTREAM_REASON_HEADER]);
}

/** Reads the response to its end. */
export async function readRefusal(response: OriginResponse, reason: Reason): Promise<RegistryError> {
  const { code, message } = parseBody(await readCapped(response.body));
  const retryAfterSeconds = Number(response.headers['retry-after'] ?? NaN);
  return new RegistryError(message || `upstream answered ${response.status}`, {
    reason,
    status: response.status,
    ...(code === undefined ? {} : { code }),
    ...(Number.isFinite(retryAfterSeconds) ? { retryAfterSeconds } : {}),
  });
}

function parseBody(text: string): { code?: RegistryError['code']; message: string } {
  try {
    return bodySchema.parse(JSON.parse(text)).errors[0] ?? { message: '' };
  } catch {
    return { message: '' };
  }
}

/** Empty when the body breaks off or is too long: the status has said what matters. */
async function readCapped(body: OriginResponse['body']): Promise<string> {
  if (body instanceof BlobStream) {
    body.destroy();
    return '';
  }
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.byteLength;
      if (size > MAX_BODY_BYTES) return '';
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  } catch {
    return '';
  }
}
