/** A value parsed from one key of a ConfigMap, which follows its changes: settings without a restart. */
import { unlessAborted } from '../unless-aborted.ts';
import type { Logger } from '../log.ts';
import type { Component } from '../run.ts';
import { cacheWatch, ObjectCache } from './cache.ts';
import type { KubeClient } from './client.ts';
import { configMaps, type ConfigMap } from './resource.ts';

export interface ConfigMapValueOptions<T> {
  readonly client: KubeClient;
  readonly name: string;
  readonly namespace: string;
  readonly key: string;
  /** If it throws, the former value stays in force. */
  readonly parse: (text: string) => T;
  readonly log: Logger;
}

export class ConfigMapValue<T> {
  readonly component: Component;
  readonly #options: ConfigMapValueOptions<T>;
  readonly #first = Promise.withResolvers<undefined>();
  readonly #listeners: ((value: T) => void)[] = [];
  #value: T | undefined;

  constructor(options: ConfigMapValueOptions<T>) {
    this.#options = options;
    const { client, name, namespace, key, log } = options;
    const cache = new ObjectCache<ConfigMap>();
    cache.onChange(({ after }) => {
      const text = after?.data?.[key];
      if (text !== undefined) this.#take(text);
    });
    const fieldSelector = `metadata.name=${name}`;
    this.component = cacheWatch(client, configMaps, cache, { namespace, fieldSelector, log });
  }

  /** The last value that could be parsed; undefined before the first. */
  get(): T | undefined {
    return this.#value;
  }

  onChange(listener: (value: T) => void): void {
    this.#listeners.push(listener);
  }

  /** Resolves when there is a value. @throws the signal's reason when it is aborted before */
  async known(signal: AbortSignal): Promise<void> {
    await unlessAborted(this.#first.promise, signal);
  }

  #take(text: string): void {
    const { parse, log, name } = this.#options;
    let value: T;
    try {
      value = parse(text);
    } catch (error) {
      log.error('ConfigMap refused, the former value stays', { configMap: name, error });
      return;
    }
    this.#value = value;
    this.#first.resolve(undefined);
    log.info('ConfigMap loaded', { configMap: name });
    for (const listener of this.#listeners) listener(value);
  }
}
