/** Keeps a Secret in a folder, as the kubelet does for a Pod that mounts it. */
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { KubeClient } from '../../platform/kube/client.ts';
import { isNotFound } from '../../platform/kube/error.ts';
import { type ObjectRef, type Secret, secrets } from '../../platform/kube/resource.ts';

/**
 * A kubelet looks about once a minute, so a certificate is still served for a while after it has been
 * replaced.
 */
const LOOK_EVERY_MS = 500;

export class MountedSecret {
  readonly folder: string;
  readonly #client: KubeClient;
  readonly #ref: ObjectRef;
  readonly #over = new AbortController();
  #following: Promise<void> = Promise.resolve();
  #version: string | undefined;

  private constructor(client: KubeClient, ref: ObjectRef, folder: string) {
    this.#client = client;
    this.#ref = ref;
    this.folder = folder;
  }

  /**
   * Waits until the Secret is there, as a Pod does.
   * @param folder exists and is empty
   */
  static async mount(client: KubeClient, ref: ObjectRef, folder: string): Promise<MountedSecret> {
    const mounted = new MountedSecret(client, ref, folder);
    while (mounted.#version === undefined) await mounted.#lookAgain();
    mounted.#following = mounted.#follow();
    return mounted;
  }

  async unmount(): Promise<void> {
    this.#over.abort();
    await this.#following;
  }

  async #follow(): Promise<void> {
    while (!this.#over.signal.aborted) await this.#lookAgain();
  }

  /** A deleted Secret stays as it was. */
  async #lookAgain(): Promise<void> {
    await pause(LOOK_EVERY_MS);
    try {
      await this.#write(await this.#client.get(secrets, this.#ref));
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** Each version has a folder of its own, and a link to it is swapped, so that all files change at once. */
  async #write({ metadata, data = {} }: Secret): Promise<void> {
    const version = `..${metadata?.resourceVersion ?? ''}`;
    if (version === this.#version) return;
    await mkdir(join(this.folder, version));
    for (const [file, content] of Object.entries(data)) {
      await writeFile(join(this.folder, version, file), Buffer.from(content, 'base64'));
      if (this.#version === undefined) await symlink(`..data/${file}`, join(this.folder, file));
    }
    await symlink(version, join(this.folder, '..data_tmp'));
    await rename(join(this.folder, '..data_tmp'), join(this.folder, '..data'));
    this.#version = version;
  }
}
