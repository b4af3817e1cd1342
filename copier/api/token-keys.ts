/** Keeps the keys up to date with which the cluster signs ServiceAccount tokens. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ReadinessCheck } from '../../platform/health.ts';
import type { KubeClient } from '../../platform/kube/client.ts';
import { loop, type Component } from '../../platform/run.ts';
import { discoverKeys, type IssuerKeys } from './token-verifier.ts';

const REFRESH_MS = 10 * 60_000;
const RETRY_MS = 2_000;

interface KeyHolder {
  /** Whether it has keys. */
  readonly ready: boolean;
  refresh(): Promise<void>;
}

/** Reads the keys from the API server. */
export function clusterKeys(kube: Pick<KubeClient, 'stream'>): (signal: AbortSignal) => Promise<IssuerKeys> {
  const get = async (path: string, signal: AbortSignal): Promise<unknown> =>
    (await kube.stream(path, undefined, signal)).json();
  return (signal) => discoverKeys(get, signal);
}

export function tokenKeys(holder: KeyHolder): {
  readonly component: Component;
  readonly check: ReadinessCheck;
} {
  return {
    component: loop('token keys', async (signal) => {
      while (!signal.aborted) {
        await holder.refresh();
        await sleep(holder.ready ? REFRESH_MS : RETRY_MS, undefined, { signal });
      }
    }),
    check: () => (holder.ready ? undefined : "the cluster's token keys are not known yet"),
  };
}
