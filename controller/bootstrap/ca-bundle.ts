/** Keeps the `caBundle` of our webhook configuration: without it the API server trusts no webhook of ours. */
import { Buffer } from 'node:buffer';
import type { KubeClient } from '../../platform/kube/client.ts';
import { mutatingWebhookConfigurations } from '../../platform/kube/resource.ts';
import type { MutatingWebhookConfiguration } from '../../platform/kube/resource.ts';
import { listAndWatch } from '../../platform/kube/watch.ts';
import type { Logger } from '../../platform/log.ts';
import type { Component } from '../../platform/run.ts';
import { loop } from '../../platform/run.ts';
import type { Writer } from '../fenced.ts';

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

/** The component that watches the configuration and writes the bundle again whenever it is lost. */
export function keepBundle(options: {
  readonly client: KubeClient;
  readonly writer: Writer;
  readonly name: string;
  readonly bundle: () => string;
  readonly log: Logger;
}): Component {
  const { client, writer, name, bundle, log } = options;
  return loop('caBundle', async (signal) => {
    const write = async (configuration: MutatingWebhookConfiguration): Promise<void> => {
      const body = bundlePatch(configuration, bundle());
      if (body.length === 0) return;
      await writer.patch(mutatingWebhookConfigurations, { name }, { type: 'json', body }, { signal });
      log.info('caBundle written', { webhookConfiguration: name });
    };
    const fieldSelector = `metadata.name=${name}`;
    for await (const event of listAndWatch(client, mutatingWebhookConfigurations, {
      signal,
      log,
      fieldSelector,
    })) {
      if (event.type === 'upsert') await write(event.object);
      if (event.type === 'reset') for (const object of event.objects) await write(object);
    }
  });
}
