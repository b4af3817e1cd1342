/**
 * Creates pods on a real cluster at an even pace, and tells how each creation went. By server-side dry run:
 * the API server does all but to store them, so that two cores are not busy with etcd, and with everybody who
 * watches pods, instead of with admission.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import { REWRITTEN_LABEL } from '../../api/names.ts';
import { connect, loadKubeConfig, type Connection } from '../../platform/kube/connection.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { percentile } from './statistics.ts';

const LARGE_POD = 20;
/** What a client may have open at once. If the server cannot keep up, the client waits, as all do. */
const AT_ONCE = 100;
const DEADLINE_MS = 10_000;
const LATE_MS = 1_000;
/** The metadata only: to read the rest would cost this machine more than it tells. */
const ACCEPT = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';

export interface LoadOptions {
  readonly namespace: string;
  /** Named in turn. */
  readonly images: readonly string[];
  readonly perSecond: number;
  readonly seconds: number;
  /** Whether a pod that was not sent through the cache is lost. */
  readonly expectRewritten: boolean;
  readonly signal: AbortSignal;
}

export interface LoadResult {
  readonly created: number;
  /** Why, each time: refused, not rewritten, or later than a second. */
  readonly lost: readonly string[];
  readonly perSecond: number;
  /** Of the creations, as the client sees them. */
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly slowestMs: number;
}

export class PodLoad {
  readonly #connection: Connection;

  constructor(cluster: Cluster) {
    this.#connection = connect(loadKubeConfig(cluster.kubeconfig));
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  /** Half of the pods have one container, the others twenty. */
  async run({
    namespace,
    images,
    perSecond,
    seconds,
    expectRewritten,
    signal,
  }: LoadOptions): Promise<LoadResult> {
    const bodies = [1, LARGE_POD].map((containers) => JSON.stringify(podOf(containers, images)));
    const path = `/api/v1/namespaces/${namespace}/pods?dryRun=All`;
    const times: number[] = [];
    const lost: string[] = [];
    const create = async (n: number): Promise<void> => {
      const started = performance.now();
      const problem = await this.#create(path, bodies[n % bodies.length] ?? '', expectRewritten);
      const ms = performance.now() - started;
      times.push(ms);
      if (problem !== undefined || ms > LATE_MS) lost.push(`${problem ?? 'late'} after ${ms.toFixed(0)} ms`);
    };
    let open = 0;
    let closed = Promise.withResolvers<undefined>();
    const all: Promise<void>[] = [];
    const begun = performance.now();
    for (let n = 0; ; n++) {
      const due = (n * 1_000) / perSecond;
      const wait = begun + due - performance.now();
      // A server that cannot keep up gets fewer, not longer.
      if (Math.max(due, due - wait) >= 1_000 * seconds) break;
      if (wait > 1) await delay(wait, undefined, { signal });
      signal.throwIfAborted();
      while (open >= AT_ONCE) {
        closed = Promise.withResolvers();
        await closed.promise;
      }
      open += 1;
      all.push(
        create(n).finally(() => {
          open -= 1;
          closed.resolve(undefined);
        }),
      );
    }
    await Promise.all(all);
    return {
      created: times.length,
      lost,
      perSecond: (times.length * 1_000) / (performance.now() - begun),
      medianMs: percentile(times, 0.5),
      p99Ms: percentile(times, 0.99),
      slowestMs: percentile(times, 1),
    };
  }

  /** What went wrong, if anything did. */
  async #create(path: string, body: string, expectRewritten: boolean): Promise<string | undefined> {
    try {
      const answer = await request(new URL(path, this.#connection.server), {
        method: 'POST',
        dispatcher: await this.#connection.dispatcher(),
        headers: {
          ...(await this.#connection.headers()),
          'content-type': 'application/json',
          accept: ACCEPT,
        },
        body,
        signal: AbortSignal.timeout(DEADLINE_MS),
      });
      const text = await answer.body.text();
      if (answer.statusCode !== 201) return `answered ${answer.statusCode}`;
      return expectRewritten && !text.includes(REWRITTEN_LABEL) ? 'not rewritten' : undefined;
    } catch (error) {
      return String(error);
    }
  }
}

function podOf(containers: number, images: readonly string[]): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { generateName: 'bench-', labels: { app: 'bench' } },
    spec: {
      containers: Array.from({ length: containers }, (_, n) => ({
        name: `c${n}`,
        image: images[n % images.length],
        env: [{ name: 'LOG_LEVEL', value: 'info' }],
        resources: { requests: { cpu: '10m', memory: '16Mi' } },
      })),
    },
  };
}
