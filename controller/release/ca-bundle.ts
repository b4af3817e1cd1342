/**
 * Keeps the `caBundle` of our webhook configuration: without it the API server does not trust our webhook.
 */
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
 * A JSON Patch (RFC 6902) that gives every webhook of the configuration the bundle; empty when all have it.
 * If the list has changed meanwhile, its tests make the patch fail, so that no bundle goes to the wrong
 * webhook.
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
  /** The name of the MutatingWebhookConfiguration; absent when somebody else keeps its caBundle. */
  readonly name?: string;
  readonly log: Logger;
}

/** The CAs to trust, and the API server's copy of them. */
export class TrustedBundle {
  readonly #options: TrustedBundleOptions;
  #bundle = '';

  constructor(options: TrustedBundleOptions) {
    this.#options = options;
  }

  /** PEM; empty before the first {@link publish}. */
  readonly get = (): string => this.#bundle;

  /** Makes this the bundle from now on. The configuration may be missing, as during an uninstall. */
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

  /** Watches the configuration and writes the bundle again whenever it gets lost. */
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
