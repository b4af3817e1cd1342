/** Upstream's refusal as the copier repeats it: an OCI error that reaches the client with its own meaning. */
import { z } from 'zod';
import { UPSTREAM_REASON_HEADER } from '../../api/copier-headers.ts';
import { OCI_ERROR_CODES, REASONS, RegistryError, type Reason } from '../../registry/core/errors.ts';
import type { Answer } from '../transfer/response.ts';
import { BlobStream } from '../transfer/blob-stream.ts';

const MAX_BODY_BYTES = 64 * 1024;

const errorSchema = z.object({
  code: z.enum(OCI_ERROR_CODES).catch('UNKNOWN'),
  message: z.string().catch(''),
});
const bodySchema = z.object({ errors: z.array(errorSchema) });

/** What upstream means by the copier's answer; undefined when the copier speaks of its own troubles. */
export function upstreamReason({ headers }: Answer): Reason | undefined {
  return REASONS.find((reason) => reason === headers[UPSTREAM_REASON_HEADER]);
}

/** Reads the answer to its end. */
export async function readRefusal(answer: Answer, reason: Reason): Promise<RegistryError> {
  const { code, message } = parseBody(await readCapped(answer.body));
  const retryAfterSeconds = Number(answer.headers['retry-after'] ?? NaN);
  return new RegistryError(message || `upstream answered ${answer.status}`, {
    reason,
    status: answer.status,
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

/** A body that breaks or is too long is as good as none: the status has said what matters. */
async function readCapped(body: Answer['body']): Promise<string> {
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
