/**
 * Keeps what the API server must know to call our webhook: the CA bundle that it trusts, and the path that it
 * calls. Only the API server and the webhook know the path, so a review that comes by it is the API server's.
 */
import { Buffer } from 'node:buffer';
import { callerPath } from '../../api/admission-caller.ts';
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

/** Absent parts are left as they are. */
export interface Registration {
  /** PEM. */
  readonly bundle?: string;
  readonly path?: string;
}

/**
 * A JSON Patch (RFC 6902) that gives every webhook of the configuration the bundle and the path; empty when
 * all have them. If the list has changed meanwhile, its tests make the patch fail, so that nothing goes to the
 * wrong webhook. Webhooks that are called by a URL have no path to keep.
 */
export function registrationPatch(
  configuration: MutatingWebhookConfiguration,
  { bundle, path }: Registration,
): readonly object[] {
  const caBundle = bundle === undefined ? undefined : Buffer.from(bundle).toString('base64');
  return (configuration.webhooks ?? []).flatMap(({ name, clientConfig }, index) => {
    const at = `/webhooks/${index}/clientConfig`;
    const { service } = clientConfig;
    const changes = [
      ...(caBundle === undefined || clientConfig.caBundle === caBundle
        ? []
        : [{ op: 'add', path: `${at}/caBundle`, value: caBundle }]),
      ...(path === undefined || service === undefined || service.path === path
        ? []
        : [{ op: 'add', path: `${at}/service/path`, value: path }]),
    ];
    return changes.length === 0
      ? []
      : [{ op: 'test', path: `/webhooks/${index}/name`, value: name }, ...changes];
  });
}

export interface WebhookRegistrationOptions {
  readonly client: KubeClient;
  readonly writer: Writer;
  /** The name of the MutatingWebhookConfiguration. */
  readonly name: string;
  /** Whether we write the caBundle; otherwise cert-manager does. */
  readonly ownBundle: boolean;
  readonly log: Logger;
}

export class WebhookRegistration {
  readonly #options: WebhookRegistrationOptions;
  #bundle = '';
  #path: string | undefined;

  constructor(options: WebhookRegistrationOptions) {
    this.#options = options;
  }

  /** The CAs to trust, in PEM; empty before the first {@link publishBundle}. */
  readonly bundle = (): string => this.#bundle;

  /** Makes these the CAs to trust from now on. */
  async publishBundle(bundle: string, signal: AbortSignal): Promise<void> {
    this.#bundle = bundle;
    await this.#publish(signal);
  }

  /**
   * Has the API server call the webhook with this token from now on. A path that is published already is not
   * looked at again here: whoever publishes the bundle, and the watch, write it with the bundle.
   */
  async publishCaller(token: string, signal: AbortSignal): Promise<void> {
    const path = callerPath(token);
    if (path === this.#path) return;
    this.#path = path;
    await this.#publish(signal);
  }

  /** Watches the configuration and writes again whatever gets lost. */
  component(): Component {
    const { client, name, log } = this.#options;
    const fieldSelector = `metadata.name=${name}`;
    return loop('webhook registration', async (signal) => {
      const options = { signal, log, fieldSelector };
      for await (const event of listAndWatch(client, mutatingWebhookConfigurations, options)) {
        if (event.type === 'upsert') await this.#write(event.object, signal);
        if (event.type === 'reset') for (const object of event.objects) await this.#write(object, signal);
      }
    });
  }

  /** The configuration may be missing, as during an uninstall. */
  async #publish(signal: AbortSignal): Promise<void> {
    const { client, name } = this.#options;
    try {
      await this.#write(await client.get(mutatingWebhookConfigurations, { name }, { signal }), signal);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  async #write(configuration: MutatingWebhookConfiguration, signal: AbortSignal): Promise<void> {
    const { writer, name, ownBundle, log } = this.#options;
    const body = registrationPatch(configuration, {
      ...(ownBundle && this.#bundle !== '' ? { bundle: this.#bundle } : {}),
      ...(this.#path === undefined ? {} : { path: this.#path }),
    });
    if (body.length === 0) return;
    await writer.patch(mutatingWebhookConfigurations, { name }, { type: 'json', body }, { signal });
    log.info('webhook registration written', { webhookConfiguration: name });
  }
}
