/**
 * An upstream registry that makes its content up, so that gigabytes cost no disk. Argument: PORT.
 * Repository `bench/NAME-8x1024` is an image of 8 layers of 1024 MiB each; `GET /sent` tells the bytes of
 * bodies sent so far.
 */
import { createHash, hash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { noise } from './noise.ts';

const MIB = 2 ** 20;
const REQUEST = /^\/v2\/(bench\/[a-z0-9]+-(\d+)x(\d+))\/(manifests|blobs)\/(\S+)$/;
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar';
const CONFIG = 'application/vnd.oci.image.config.v1+json';

/** One mebibyte, over and over. */
interface Layer {
  readonly chunk: Buffer;
  readonly mebibytes: number;
}

interface Image {
  readonly manifest: Buffer;
  readonly config: Buffer;
  readonly layers: ReadonlyMap<string, Layer>;
}

const images = new Map<string, Image>();
let sent = 0;

function digestOf(bytes: Buffer): string {
  return `sha256:${hash('sha256', bytes, 'hex')}`;
}

function makeImage(repository: string, count: number, mebibytes: number): Image {
  const layers = new Map<string, Layer>();
  for (let index = 0; index < count; index += 1) {
    const chunk = noise(`${repository}/${index}`, MIB);
    const digester = createHash('sha256');
    for (let written = 0; written < mebibytes; written += 1) digester.update(chunk);
    layers.set(`sha256:${digester.digest('hex')}`, { chunk, mebibytes });
  }
  const diffIds = [...layers.keys()];
  const config = Buffer.from(
    JSON.stringify({
      os: 'linux',
      architecture: 'amd64',
      config: {},
      rootfs: { type: 'layers', diff_ids: diffIds },
    }),
  );
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: { mediaType: CONFIG, digest: digestOf(config), size: config.byteLength },
      layers: diffIds.map((digest) => ({ mediaType: LAYER, digest, size: mebibytes * MIB })),
    }),
  );
  return { manifest, config, layers };
}

function imageOf(repository: string, count: number, mebibytes: number): Image {
  const known = images.get(repository) ?? makeImage(repository, count, mebibytes);
  images.set(repository, known);
  return known;
}

function sendBytes(response: ServerResponse, bytes: Buffer, type: string): void {
  const headers = {
    'content-type': type,
    'content-length': bytes.byteLength,
    'docker-content-digest': digestOf(bytes),
  };
  response.writeHead(200, headers).end(bytes);
  if (response.req.method === 'GET') sent += bytes.byteLength;
}

async function sendLayer(response: ServerResponse, { chunk, mebibytes }: Layer): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': mebibytes * MIB });
  if (response.req.method === 'HEAD') {
    response.end();
    return;
  }
  const gone = new AbortController();
  response.once('close', () => {
    gone.abort();
  });
  for (let written = 0; written < mebibytes; written += 1) {
    sent += chunk.byteLength;
    if (!response.write(chunk)) await once(response, 'drain', { signal: gone.signal });
  }
  response.end();
}

const server = createServer((request, response) => {
  const [, repository = '', count, mebibytes, kind, reference = ''] = REQUEST.exec(request.url ?? '') ?? [];
  if (request.url === '/sent') {
    response.end(String(sent));
    return;
  }
  if (kind === undefined) {
    response.writeHead(request.url === '/v2/' ? 200 : 404).end('{}');
    return;
  }
  const { manifest, config, layers } = imageOf(repository, Number(count), Number(mebibytes));
  const layer = layers.get(reference);
  if (kind === 'manifests') sendBytes(response, manifest, MANIFEST);
  else if (layer !== undefined) sendLayer(response, layer).catch(() => response.destroy());
  else if (reference === digestOf(config)) sendBytes(response, config, CONFIG);
  else response.writeHead(404).end('{}');
});
server.listen(Number(process.argv[2]));
