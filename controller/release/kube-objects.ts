/** Reads and writes the release's Secrets and ConfigMaps, also when others write them at the same time. */
import { Buffer } from 'node:buffer';
import { isDeepStrictEqual } from 'node:util';
import type { KubeClient } from '../../platform/kube/client.ts';
import { isAlreadyExists, isConflict, isNotFound } from '../../platform/kube/error.ts';
import { configMaps, type KubeObject, type Resource, secrets } from '../../platform/kube/resource.ts';
import type { Writer } from '../cluster/fenced.ts';
import type { Data } from './authority.ts';
import type { ObjectStore } from './objects.ts';

const MAX_TRIES = 5;
const LABELS = { 'app.kubernetes.io/managed-by': 'larder-controller', 'app.kubernetes.io/part-of': 'larder' };

interface Holder extends KubeObject {
  readonly data?: Data;
  readonly type?: string;
}

/** How a kind of object encodes text. */
interface Kind {
  readonly resource: Resource<Holder>;
  readonly encode: (text: string) => string;
  readonly decode: (text: string) => string;
}

const KINDS: Record<'Secret' | 'ConfigMap', Kind> = {
  Secret: {
    resource: secrets,
    encode: (text) => Buffer.from(text).toString('base64'),
    decode: (text) => Buffer.from(text, 'base64').toString(),
  },
  ConfigMap: { resource: configMaps, encode: (text) => text, decode: (text) => text },
};

/** @param signal aborts all requests */
export function kubeObjects(
  client: Pick<KubeClient, 'get'>,
  writer: Writer,
  namespace: string,
  signal: AbortSignal,
): ObjectStore {
  return {
    ensure: async (kind, name, next, type) => {
      const { resource, encode, decode } = KINDS[kind];
      for (let tries = 1; ; tries++) {
        const object = await read(client, resource, { name, namespace }, signal);
        const held = object && mapData(object.data ?? {}, decode);
        const wanted = await next(held);
        if (held !== undefined && isDeepStrictEqual(held, { ...wanted })) return wanted;
        const data = mapData(wanted, encode);
        try {
          if (object !== undefined) await writer.replace(resource, { ...object, data }, { signal });
          else await writer.create(resource, created({ name, namespace }, data, type), { signal });
          return wanted;
        } catch (error) {
          if (tries === MAX_TRIES || !(isAlreadyExists(error) || isConflict(error))) throw error;
        }
      }
    },
  };
}

async function read(
  client: Pick<KubeClient, 'get'>,
  resource: Resource<Holder>,
  ref: { name: string; namespace: string },
  signal: AbortSignal,
): Promise<Holder | undefined> {
  try {
    return await client.get(resource, ref, { signal });
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

function created(ref: { name: string; namespace: string }, data: Data, type: string | undefined): Holder {
  return { metadata: { ...ref, labels: LABELS }, data, ...(type === undefined ? {} : { type }) };
}

function mapData(data: Data, change: (text: string) => string): Data {
  return Object.fromEntries(Object.entries(data).map(([key, text]) => [key, change(text)]));
}
