/** A transfer through a node's proxy that pauses in the middle until the test resumes it. */
import { randomUUID } from 'node:crypto';
import type { ClusterNode } from '../cluster/cluster-node.ts';

export interface StalledTransfer {
  /**
   * Resumes it, and gives the bytes received in all.
   * @throws {Error} when the blob did not arrive complete
   */
  readonly finish: () => Promise<number>;
}

/** Reads the first piece of an image's largest layer, and the rest when the file `go` exists. */
const script = `
const { existsSync, writeFileSync } = require('node:fs');
const [base, tag, file] = process.argv.slice(1);
const accept = 'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json';
(async () => {
  const manifest = async (reference) => (await fetch(base + '/manifests/' + reference, { headers: { accept } })).json();
  const index = await manifest(tag);
  const { layers } = await manifest(index.manifests[0].digest);
  const { digest } = layers.toSorted((a, b) => b.size - a.size)[0];
  const hash = require('node:crypto').createHash('sha256');
  let bytes = 0;
  require('node:http').get(base + '/blobs/' + digest, async (answer) => {
    for await (const piece of answer) {
      if (bytes === 0) {
        writeFileSync(file + '.begun', '');
        while (!existsSync(file + '.go')) await new Promise((resolve) => setTimeout(resolve, 100));
      }
      bytes += piece.length;
      hash.update(piece);
    }
    if ('sha256:' + hash.digest('hex') !== digest) throw new Error('the blob has another digest');
    console.log(bytes);
  });
})();
`;

/**
 * Resolves when the transfer has begun.
 * @param repository its cached name
 */
export async function stalledTransfer(
  node: ClusterNode,
  repository: string,
  tag: string,
): Promise<StalledTransfer> {
  const file = `/run/larder-transfer-${randomUUID()}`;
  const base = `http://127.0.0.1:7439/v2/${repository}`;
  const transfer = node.exec([process.execPath, '-e', script, base, tag, file]);
  const failed = transfer.then(() => new Promise<never>(() => undefined));
  const begun = node.exec(['sh', '-c', `until [ -e "${file}.begun" ]; do sleep 0.1; done`]);
  await Promise.race([begun, failed]);
  return {
    finish: async () => {
      await node.exec(['touch', `${file}.go`]);
      return Number((await transfer).stdout);
    },
  };
}
