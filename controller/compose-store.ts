/** Composes the keeper of the release's own store. */
import { releaseNames } from '../api/names.ts';
import { secrets } from '../platform/kube/resource.ts';
import type { LeaderOptions } from './leader-options.ts';
import { StoreClient } from './store/client.ts';
import { StoreKeeper } from './store/keeper.ts';

/** Undefined when the store does not belong to the release. */
export function composeStoreKeeper(
  { settings, client, assertLeader, clock, log }: LeaderOptions,
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
    thresholds: {
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
