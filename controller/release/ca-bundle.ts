/** Keeps the `caBundle` of our webhook configuration: without it the API server trusts no webhook of ours. */
import { Buffer } from 'node:buffer';
import type { KubeClient } from '../../platform/kube/client.ts';
import { isNotFound } from '../../platform/kube/error.ts';
import {
  type MutatingWebhookConfiguration,
  mutatingWebhookConfigurations,
} from '../../platform/kube/resource.ts';
import { listAndWatch } from '../../platform/kube/watch.ts';
import type { Logger } from '../../platform/log.ts';
import { type Component, loop } from '../../platform/run.ts';
import type { Writer } from '../cluster/fenced.ts';

/**
 * JSON Patch (RFC 6902) that gives every webhook of the configuration the bundle; empty when all have it. The tests in it
 * make the patch fail rather than meet another webhook when the list has changed meanwhile.
 */
export function bundlePatch(configuration: MutatingWebhookConfiguration, bundle: string): readonly object[] {
  const value = Buffer.from(bundle).toString('base64');
  return (configuration.webhooks ?? []).flatMap(({ name, clientConfig }, index) =>
    clientConfig.caBundle === value
      ? []
      : [
          { op: 'test', path: `/webhooks/${index}/name`, value: name },
          { op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value },
        ],
  );
}

export interface TrustedBundleOptions {
  readonly client: KubeClient;
  readonly writer: Writer;
  /** Of the MutatingWebhookConfiguration; absent when its caBundle is somebody else's. */
  readonly name?: string;
  readonly log: Logger;
}

/** The CAs that are to be trusted, and the API server's copy of them. */
export class TrustedBundle {
  readonly #options: TrustedBundleOptions;
  #bundle = '';

  constructor(options: TrustedBundleOptions) {
    this.#options = options;
  }

  /** PEM; empty before the first {@link publish}. */
  readonly get = (): string => this.#bundle;

  /** From now on this is the bundle. A configuration that is not there, as while a release is uninstalled, needs none. */
  async publish(bundle: string, signal: AbortSignal): Promise<void> {
    this.#bundle = bundle;
    const { client, name } = this.#options;
    if (name === undefined) return;
    try {
      await this.#write(await client.get(mutatingWebhookConfigurations, { name }, { signal }), signal);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** The component that watches the configuration and writes the bundle again whenever it is lost. */
  components(): readonly Component[] {
    const { client, name, log } = this.#options;
    if (name === undefined) return [];
    const fieldSelector = `metadata.name=${name}`;
    const keep = async (signal: AbortSignal): Promise<void> => {
      const options = { signal, log, fieldSelector };
      for await (const event of listAndWatch(client, mutatingWebhookConfigurations, options)) {
        if (event.type === 'upsert') await this.#write(event.object, signal);
        if (event.type === 'reset') for (const object of event.objects) await this.#write(object, signal);
      }
    };
    return [loop('caBundle', keep)];
  }

  async #write(configuration: MutatingWebhookConfiguration, signal: AbortSignal): Promise<void> {
    const { writer, name = '', log } = this.#options;
    const body = bundlePatch(configuration, this.#bundle);
    if (body.length === 0) return;
    await writer.patch(mutatingWebhookConfigurations, { name }, { type: 'json', body }, { signal });
    log.info('caBundle written', { webhookConfiguration: name });
  }
}
