/** Composes what keeps the release's own certificates and logins. */
import { releaseNames } from '../../api/names.ts';
import type { CapabilityKey } from '../../registry/core/capability.ts';
import type { Component } from '../../platform/run.ts';
import type { Writer } from '../cluster/fenced.ts';
import type { LeaderOptions } from '../leader-options.ts';
import { keepRelease } from './keep.ts';
import { kubeObjects } from './kube-objects.ts';
import { ensureRelease } from './objects.ts';
import { WebhookRegistration } from './webhook-registration.ts';

export interface ReleaseParts {
  /** The CAs that all processes of the release trust, in PEM. */
  readonly ca: () => string;
  /**
   * The keys that capabilities are made with; none before they were read once, which is before anything else of
   * a leadership begins.
   */
  readonly capabilityKeys: () => readonly CapabilityKey[];
  readonly components: readonly Component[];
}

export function releaseParts({ settings, client, clock, log }: LeaderOptions, writer: Writer): ReleaseParts {
  const { namespace } = settings;
  const names = releaseNames(settings.fullname);
  const registration = new WebhookRegistration({
    client,
    writer,
    name: names.webhookConfiguration,
    ownBundle: settings.ownWebhookCertificate,
    log,
  });
  let capabilityKeys: readonly CapabilityKey[] = [];
  const onCapabilityKeys = (keys: readonly CapabilityKey[]): void => {
    capabilityKeys = keys;
  };
  const onBadKeyLine = (line: number): void => {
    log.warn('a line of the capability keys is no key and is dropped', {
      secret: names.capabilityKeys,
      line,
    });
  };
  const release = keepRelease(
    (ensuring) =>
      ensureRelease(
        kubeObjects(client, writer, namespace, ensuring),
        {
          ...settings,
          names,
          onCapabilityKeys,
          onBadKeyLine,
          publish: (bundle) => registration.publishBundle(bundle, ensuring),
          publishCaller: (token) => registration.publishCaller(token, ensuring),
        },
        { now: clock.now(), settleMs: settings.caSettleTime },
      ),
    { clock, log, everyMs: settings.certificateCheck },
  );
  return {
    ca: registration.bundle,
    capabilityKeys: () => capabilityKeys,
    components: [release, registration.component()],
  };
}
