/**
 * What our client expects of any registry. Both the fake and the real registry must pass, so that the fake
 * stays true.
 */
import { digestOf } from '../../registry/core/digest.ts';
import type { Authenticator } from '../../registry/transport/auth/authenticator.ts';
import type { Transport } from '../../registry/transport/transport.ts';
import { getBlob, getVerifiedBlob, headBlob, readBlob } from '../../registry/client/blobs.ts';
import { allTags, listReferrers, listTags } from '../../registry/client/listing.ts';
import { deleteManifest, getManifest, headManifest, putManifest } from '../../registry/client/manifests.ts';
import { referrersTag } from '../../registry/core/attached-tag.ts';
import { RepositoryClient } from '../../registry/client/repository-client.ts';
import { cancelUpload, mountBlob, uploadBlob } from '../../registry/client/upload.ts';
import { verified } from '../../registry/client/verified.ts';
import { copyImage } from '../../registry/copy/copy-image.ts';
import { removeImage } from '../../registry/copy/remove-image.ts';
import { verifyImage } from '../../registry/copy/verify-image.ts';
import { parsePlatform } from '../../registry/core/platform.ts';
import { OCI_MANIFEST } from '../../registry/core/media-types.ts';
import { testDescriptor, testImage, testIndex, testManifest } from '../fakes/images.ts';
import { streamInto } from '../fakes/stream-blobs.ts';

export interface RegistryUnderTest {
  readonly origin: string;
  readonly transport: Transport;
  readonly authenticator: Authenticator;
  readonly close: () => Promise<void>;
}

async function* chunks(...parts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield await Promise.resolve(Buffer.from(part));
}

export function registrySuite(name: string, start: () => Promise<RegistryUnderTest>): void {
  describe(name, () => {
    const { signal } = new AbortController();
    let registry: RegistryUnderTest;
    let sequence = 0;

    beforeAll(async () => {
      registry = await start();
    }, 600_000);
    afterAll(async () => {
      await registry.close();
    });

    /** A repository that no other test uses. */
    function repository(): RepositoryClient {
      sequence++;
      return new RepositoryClient({ ...registry, repository: `suite/repository-${sequence}` });
    }

    async function upload(client: RepositoryClient, text: string) {
      const blob = testDescriptor(Buffer.from(text), 'application/octet-stream');
      await uploadBlob(client, { ...blob, body: chunks(text), signal });
      return blob;
    }

    async function push(client: RepositoryClient, image: ReturnType<typeof testImage>, tag: string) {
      for (const [digest, bytes] of image.blobs) {
        await uploadBlob(client, {
          digest,
          size: bytes.byteLength,
          body: chunks(Buffer.from(bytes).toString()),
          signal,
        });
      }
      for (const manifest of image.manifests) {
        const reference = manifest === image.root ? { tag } : { digest: manifest.digest };
        await putManifest(client, reference, manifest, signal);
      }
    }

    const code = (expected: string): unknown => expect.objectContaining({ code: expected });

    it('returns a blob that was uploaded in one PUT', async () => {
      const client = repository();
      const blob = await upload(client, 'one put');
      expect(await headBlob(client, blob.digest, signal)).toEqual({ size: 7 });
      expect((await readBlob(client, blob, signal)).toString()).toBe('one put');
    });

    it('returns a blob of unknown size that was uploaded in chunks', async () => {
      const client = repository();
      const digest = digestOf(Buffer.from('first second'));
      await uploadBlob(client, { digest, size: undefined, body: chunks('first ', 'second'), signal });
      expect((await readBlob(client, { digest, size: 12 }, signal)).toString()).toBe('first second');
    });

    it('accepts an empty blob', async () => {
      const client = repository();
      const blob = await upload(client, '');
      expect(await headBlob(client, blob.digest, signal)).toEqual({ size: 0 });
    });

    it('commits nothing when the digest does not match', async () => {
      const client = repository();
      const digest = digestOf(Buffer.from('promised'));
      const size = 8;
      const body = verified(chunks('deliv', 'red'), { digest, size });
      const upload = uploadBlob(client, { digest, size, body, signal });
      await expect(upload).rejects.toMatchObject({ reason: 'DigestMismatch' });
      expect(await headBlob(client, digest, signal)).toBeUndefined();
    });

    it('commits nothing when the source breaks off', async () => {
      const client = repository();
      const digest = digestOf(Buffer.from('whole'));
      async function* broken(): AsyncGenerator<Uint8Array> {
        yield* chunks('who');
        throw new Error('source broke');
      }
      const upload = uploadBlob(client, { digest, size: 5, body: broken(), signal });
      await expect(upload).rejects.toThrow();
      expect(await headBlob(client, digest, signal)).toBeUndefined();
    });

    it('sends a blob from any offset', async () => {
      const client = repository();
      const { digest } = await upload(client, '0123456789');
      const { body, size } = await getBlob(client, digest, { offset: 4, signal });
      expect(size).toBe(10);
      expect(Buffer.concat((await body.toArray()) as Buffer[]).toString()).toBe('456789');
    });

    it('reports that a blob is missing', async () => {
      const client = repository();
      const digest = digestOf(Buffer.from('absent'));
      expect(await headBlob(client, digest, signal)).toBeUndefined();
      await expect(getBlob(client, digest, { signal })).rejects.toEqual(code('BLOB_UNKNOWN'));
    });

    it('mounts a blob from another repository', async () => {
      const [from, to] = [repository(), repository()];
      const blob = await upload(from, 'shared');
      expect(await mountBlob(to, blob.digest, from.repository, signal)).toEqual({ mounted: true });
      expect((await readBlob(to, blob, signal)).toString()).toBe('shared');
    });

    it('begins an upload when a blob cannot be mounted, and forgets it when that is cancelled', async () => {
      const [from, to] = [repository(), repository()];
      await upload(from, 'something else');
      const mount = await mountBlob(to, digestOf(Buffer.from('not there')), from.repository, signal);
      if (mount.mounted) throw new Error('mounted what does not exist');
      const url = mount.location;
      const actions = ['pull', 'push'] as const;
      const status = () => to.send({ method: 'GET', url, actions, accept: [200, 202, 204], signal });
      await status();
      await cancelUpload(to, url);
      await expect(status()).rejects.toMatchObject({ reason: 'NotFound' });
    });

    it('keeps a manifest byte for byte, by tag and by digest', async () => {
      const client = repository();
      const image = testImage(['layer one', 'layer two']);
      await push(client, image, 'v1');
      for (const reference of [{ tag: 'v1' }, { digest: image.root.digest }]) {
        expect(await headManifest(client, reference, { signal })).toEqual({
          digest: image.root.digest,
          mediaType: OCI_MANIFEST,
          size: image.root.bytes.byteLength,
        });
        const stored = await getManifest(client, reference, { signal });
        expect(Buffer.from(stored.bytes).equals(image.root.bytes)).toBe(true);
      }
    });

    it('refuses a manifest whose blobs are missing', async () => {
      const client = repository();
      const { root } = testImage(['never sent']);
      await expect(putManifest(client, { tag: 'v1' }, root, signal)).rejects.toEqual(
        code('MANIFEST_BLOB_UNKNOWN'),
      );
      await expect(getManifest(client, { tag: 'v1' }, { signal })).rejects.toMatchObject({
        reason: 'NotFound',
      });
    });

    it('accepts an index with some of its children missing', async () => {
      const client = repository();
      const index = testIndex({
        'linux/amd64': testImage(['a']),
        'linux/arm64': testImage(['b'], 'linux/arm64'),
      });
      await push(client, testImage(['a']), 'child');
      await putManifest(client, { tag: 'v1' }, index.root, signal);
      expect((await getManifest(client, { tag: 'v1' }, { signal })).digest).toBe(index.root.digest);
    });

    it('deletes a tag and nothing else', async () => {
      const client = repository();
      const image = testImage(['kept']);
      await push(client, image, 'one');
      await putManifest(client, { tag: 'two' }, image.root, signal);
      expect(await deleteManifest(client, { tag: 'one' }, signal)).toBe(true);
      const tags: string[] = [];
      for await (const tag of listTags(client, signal)) tags.push(tag);
      expect(tags).toEqual(['two']);
      expect((await getManifest(client, { digest: image.root.digest }, { signal })).digest).toBe(
        image.root.digest,
      );
      expect(await deleteManifest(client, { tag: 'one' }, signal)).toBe(false);
    });

    it('deletes a manifest', async () => {
      const client = repository();
      const image = testImage(['gone']);
      await push(client, image, 'v1');
      expect(await deleteManifest(client, { digest: image.root.digest }, signal)).toBe(true);
      await expect(getManifest(client, { tag: 'v1' }, { signal })).rejects.toMatchObject({
        reason: 'NotFound',
      });
    });

    it('lists the referrers of a manifest, by the API or by tag', async () => {
      const client = repository();
      const image = testImage(['signed']);
      await push(client, image, 'v1');
      const { digest } = image.root;
      expect(await listReferrers(client, digest, signal)).toEqual([]);
      const empty = await upload(client, '{}');
      const subject = testDescriptor(image.root.bytes, OCI_MANIFEST);
      const signature = testManifest({ config: empty, layers: [], subject }, OCI_MANIFEST);
      await putManifest(client, { digest: signature.digest }, signature, signal);
      const listed = testManifest(
        { manifests: [testDescriptor(signature.bytes, OCI_MANIFEST)] },
        'application/vnd.oci.image.index.v1+json',
      );
      // Without the referrers API the client maintains this tag; a registry with the API ignores it.
      await putManifest(client, { tag: digest.replace(':', '-') }, listed, signal);
      const referrers = await listReferrers(client, digest, signal);
      expect(referrers.map((referrer) => referrer.digest)).toEqual([signature.digest]);
    });

    it('receives one platform of an image, which is then complete for that platform only', async () => {
      const [from, to] = [repository(), repository()];
      const index = testIndex({
        'linux/amd64': testImage(['x']),
        'linux/arm64': testImage(['y'], 'linux/arm64'),
      });
      await push(from, index, 'v1');
      const selection = { platforms: [parsePlatform('linux/amd64')] };
      const copied = await copyImage({
        readManifest: (reference, readSignal) => getManifest(from, reference, { signal: readSignal }),
        reference: { tag: 'v1' },
        destination: to,
        tag: 'v1',
        transferBlob: streamInto({
          destination: to,
          fetchBlob: (blob, blobSignal) => getVerifiedBlob(from, blob, blobSignal),
          mountFrom: () => from.repository,
        }),
        selection,
        signal,
      });
      expect(copied).toMatchObject({ digest: index.root.digest, platforms: selection.platforms });
      const verification = await verifyImage(to, { tag: 'v1' }, selection, signal);
      const { platforms } = selection;
      expect(verification).toEqual({
        complete: true,
        digest: index.root.digest,
        sizeBytes: copied.sizeBytes,
        platforms,
      });
      expect(await verifyImage(to, { tag: 'v1' }, { platforms: [] }, signal)).toMatchObject({
        complete: false,
      });
    });

    it('removes an image with its manifests, except those that another tag leads to', async () => {
      const client = repository();
      const shared = testImage(['shared']);
      const other = testImage(['other'], 'linux/arm64');
      const both = testIndex({ 'linux/amd64': shared, 'linux/arm64': other });
      await push(client, both, 'both');
      await push(client, both, 'same');
      await push(client, shared, 'single');
      expect(await removeImage(client, { tag: 'same' }, signal)).toEqual([]);
      expect((await getManifest(client, { tag: 'both' }, { signal })).digest).toBe(both.root.digest);
      const removed = await removeImage(client, { tag: 'both' }, signal);
      expect([...removed].sort()).toEqual([both.root.digest, other.root.digest].sort());
      const tags: string[] = [];
      for await (const tag of listTags(client, signal)) tags.push(tag);
      expect(tags).toEqual(['single']);
      expect((await getManifest(client, { digest: shared.root.digest }, { signal })).digest).toBe(
        shared.root.digest,
      );
      await expect(getManifest(client, { digest: other.root.digest }, { signal })).rejects.toMatchObject({
        reason: 'NotFound',
      });
    });

    it('removes the attachments of an image with it, and keeps them when another tag names the image', async () => {
      const client = repository();
      const [gone, kept] = [testImage(['gone']), testImage(['kept'])];
      const [signature, other] = [testImage(['signature']), testImage(['other signature'])];
      await push(client, gone, 'v1');
      await push(client, kept, 'v2');
      await push(client, kept, 'v3');
      await push(client, signature, `${referrersTag(gone.root.digest)}.sig`);
      await push(client, other, `${referrersTag(kept.root.digest)}.sig`);
      const removed = await removeImage(client, { tag: 'v1' }, signal);
      expect([...removed].sort()).toEqual([gone.root.digest, signature.root.digest].sort());
      expect(await removeImage(client, { tag: 'v3' }, signal)).toEqual([]);
      expect((await allTags(client, signal)).toSorted()).toEqual(
        ['v2', `${referrersTag(kept.root.digest)}.sig`].toSorted(),
      );
    });

    it('removes an image that no tag names any more, and one that was never there', async () => {
      const client = repository();
      const [before, after] = [testImage(['before']), testImage(['after'])];
      await push(client, before, 'v1');
      await push(client, after, 'v1');
      const { digest } = before.root;
      expect(await removeImage(client, { tag: 'larder-anchor', digest }, signal)).toEqual([digest]);
      expect((await getManifest(client, { tag: 'v1' }, { signal })).digest).toBe(after.root.digest);
      expect(await removeImage(repository(), { tag: 'v1' }, signal)).toEqual([]);
    });
  });
}
