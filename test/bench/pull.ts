/** Pulls an image several times at once and discards it. Arguments: ORIGIN REPOSITORY TIMES. Prints JSON. */
import { z } from 'zod';
import { drain } from './drain.ts';

/** What it prints. */
export const pulledSchema = z.object({ seconds: z.number(), bytes: z.number() });
export type Pulled = z.infer<typeof pulledSchema>;

const descriptor = z.object({ digest: z.string(), size: z.number() });
const manifestSchema = z.object({ config: descriptor, layers: z.array(descriptor) });

async function pull(origin: string, repository: string): Promise<number> {
  const base = `${origin}/v2/${repository}`;
  const answer = await fetch(`${base}/manifests/latest`, {
    headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
  });
  if (!answer.ok) throw new Error(`manifest: ${answer.status} ${await answer.text()}`);
  const text = await answer.text();
  const { config, layers } = manifestSchema.parse(JSON.parse(text));
  const blobs = await Promise.all(
    [config, ...layers].map(async ({ digest, size }) => {
      const { status, bytes } = await drain(`${base}/blobs/${digest}`);
      if (status !== 200 || bytes !== size)
        throw new Error(`blob ${digest}: ${status}, ${bytes} of ${size} bytes`);
      return bytes;
    }),
  );
  return blobs.reduce((sum, bytes) => sum + bytes, Buffer.byteLength(text));
}

if (import.meta.main) {
  const [origin = '', repository = '', times = '1'] = process.argv.slice(2);
  const startedAt = performance.now();
  const pulls = await Promise.all(Array.from({ length: Number(times) }, () => pull(origin, repository)));
  const seconds = (performance.now() - startedAt) / 1_000;
  const pulled: Pulled = { seconds, bytes: pulls.reduce((sum, bytes) => sum + bytes, 0) };
  console.log(JSON.stringify(pulled));
}
