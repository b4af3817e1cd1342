/** Composes what follows the release's own store. */
import { releaseNames } from '../api/names.ts';
import type { Clock } from '../platform/clock.ts';
import type { ConfigOf } from '../platform/config.ts';
import type { KubeClient } from '../platform/kube/client.ts';
import { secrets } from '../platform/kube/resource.ts';
import type { Logger } from '../platform/log.ts';
import type { config } from './config.ts';
import { StoreClient } from './store-client.ts';
import { StoreKeeper } from './store-keeper.ts';

export interface OwnStoreParts {
  readonly settings: ConfigOf<typeof config>;
  readonly client: KubeClient;
  readonly assertLeader: () => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Undefined when the store is none of the release's own. */
export function ownStoreKeeper(
  { settings, client, assertLeader, clock, log }: OwnStoreParts,
  onOtherVolume: () => void,
): StoreKeeper | undefined {
  const { namespace, fullname, storeUrl, storePoll, collectWorth, collectAfter, maxSize } = settings;
  if (storeUrl === undefined) return undefined;
  const name = releaseNames(fullname).storeWriter;
  return new StoreKeeper({
    store: new StoreClient({
      url: storeUrl,
      login: async () => readLogin((await client.get(secrets, { name, namespace })).data),
    }),
    rules: {
      worthBytes: collectWorth,
      afterMs: collectAfter,
      ...(maxSize === undefined ? {} : { limitBytes: maxSize }),
    },
    everyMs: storePoll,
    onOtherVolume,
    assertLeader,
    clock,
    log,
  });
}

function readLogin(data: Readonly<Record<string, string>> = {}): { privateKey: string; keyId: string } {
  const read = (key: string): string =>
    Buffer.from(data[key] ?? '', 'base64')
      .toString()
      .trim();
  return { privateKey: read('private-key.pem'), keyId: read('key-id') };
}
