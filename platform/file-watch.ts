/** A value parsed from mounted files, parsed again when the kubelet swaps their Secret or ConfigMap. */
import { watch, type FSWatcher } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Logger } from './log.ts';
import type { Component } from './run.ts';

export interface FileValueOptions<T> {
  /** The files. Their folders must exist. */
  readonly paths: readonly string[];
  /**
   * Makes the value from the contents of the files, in the order of `paths`; `undefined` for a file that is
   * absent.
   */
  readonly parse: (contents: readonly (Buffer | undefined)[]) => T;
  readonly log: Logger;
  /** The files are read again at least this often, whatever the file system reports. Default 30 s. */
  readonly intervalMs?: number;
}

/**
 * Holds the last value that could be parsed: when a file is broken, that is logged and the former value
 * stays.
 */
export class FileValue<T> {
  readonly #options: FileValueOptions<T>;
  readonly #listeners = new Set<(value: T) => void>();
  #contents: readonly (Buffer | undefined)[];
  #value: T;

  private constructor(options: FileValueOptions<T>, contents: readonly (Buffer | undefined)[]) {
    this.#options = options;
    this.#contents = contents;
    this.#value = options.parse(contents);
  }

  /**
   * @throws what `parse` throws for the first contents, or the error of a file that exists and cannot be read
   */
  static async read<T>(options: FileValueOptions<T>): Promise<FileValue<T>> {
    return new FileValue(options, await readAll(options.paths));
  }

  get(): T {
    return this.#value;
  }

  /** Calls the listener on every change. Returns the function that ends the subscription. */
  subscribe(listener: (value: T) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Reads the files now, and calls the listeners if something has changed. */
  async refresh(): Promise<void> {
    try {
      const contents = await readAll(this.#options.paths);
      if (sameContents(contents, this.#contents)) return;
      this.#contents = contents;
      this.#value = this.#options.parse(contents);
      for (const listener of this.#listeners) listener(this.#value);
      this.#options.log.info('files reloaded', { paths: this.#options.paths });
    } catch (error) {
      this.#options.log.warn('files could not be reloaded', { paths: this.#options.paths, error });
    }
  }

  /** The component that follows the files. */
  component(name: string): Component {
    return { name, start: () => Promise.resolve({ stop: this.#follow() }) };
  }

  #follow(): () => Promise<void> {
    let pending: Promise<void> = Promise.resolve();
    // The kubelet swaps a symbolic link beside the files, so the folder is watched rather than the file.
    const again = (): void => {
      pending = pending.then(() => this.refresh());
    };
    const folders = new Set(this.#options.paths.map((path) => dirname(path)));
    const watchers = [...folders].flatMap((folder) => this.#watchFolder(folder, again));
    const timer = setInterval(again, this.#options.intervalMs ?? 30_000);
    return async () => {
      clearInterval(timer);
      for (const watcher of watchers) watcher.close();
      await pending;
    };
  }

  /** When inotify is exhausted, or the folder does not exist, the interval still finds changes. */
  #watchFolder(folder: string, onChange: () => void): FSWatcher[] {
    const failed = (error: unknown): void => {
      this.#options.log.warn('folder cannot be watched', { folder, error });
    };
    try {
      return [watch(folder, onChange).on('error', failed)];
    } catch (error) {
      failed(error);
      return [];
    }
  }
}

async function readAll(paths: readonly string[]): Promise<(Buffer | undefined)[]> {
  return Promise.all(
    paths.map((path) =>
      readFile(path).catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }),
    ),
  );
}

function sameContents(a: readonly (Buffer | undefined)[], b: readonly (Buffer | undefined)[]): boolean {
  return a.every((content, i) => {
    const other = b[i];
    return content === undefined || other === undefined ? content === other : content.equals(other);
  });
}
