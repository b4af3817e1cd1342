/** Asks the API server how it would admit pods, in server-side dry runs that store nothing. */
import { setTimeout as pause } from 'node:timers/promises';
import { request } from 'undici';
import { connect, loadKubeConfig, type Connection } from '../../platform/kube/connection.ts';
import type { Pod } from '../../platform/kube/resource.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { PROXY_HOST } from '../../api/names.ts';

const IMAGE = 'ghcr.io/acme/app:1';
const PAUSE_MS = 20;

export interface Admitted {
  /** Of the first container. */
  readonly image: string;
  readonly milliseconds: number;
}

/** The result of asking in a loop. */
export interface Losses {
  readonly asked: number;
  /** Refused, or not sent through the cache. */
  readonly lost: readonly string[];
  readonly slowestMs: number;
}

export class DryAdmission {
  readonly #connection: Connection;
  readonly #namespace: string;
  #serial = 0;

  constructor(cluster: Pick<Cluster, 'kubeconfig'>, namespace: string) {
    this.#connection = connect(loadKubeConfig(cluster.kubeconfig));
    this.#namespace = namespace;
  }

  /** @throws Error when the API server refuses the pod */
  async admit(image = IMAGE, spec: object = {}): Promise<Admitted> {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `dry-${(this.#serial += 1)}`, namespace: this.#namespace },
      spec: { containers: [{ name: 'app', image }], ...spec },
    };
    const started = performance.now();
    const url = new URL(`/api/v1/namespaces/${this.#namespace}/pods?dryRun=All`, this.#connection.server);
    const answer = await request(url, {
      method: 'POST',
      dispatcher: await this.#connection.dispatcher(),
      headers: { ...(await this.#connection.headers()), 'content-type': 'application/json' },
      body: JSON.stringify(pod),
    });
    const body = await answer.body.text();
    if (answer.statusCode !== 201) throw new Error(`the API server answered ${answer.statusCode}: ${body}`);
    const stored = JSON.parse(body) as Pod;
    return {
      image: stored.spec?.containers[0]?.image ?? '',
      milliseconds: performance.now() - started,
    };
  }

  async rewrites(image?: string, spec?: object): Promise<boolean> {
    return (await this.admit(image, spec)).image.startsWith(`${PROXY_HOST}/`);
  }

  /** Asks in a loop while the work goes on. */
  async during(work: () => Promise<unknown>): Promise<Losses> {
    const over = new AbortController();
    let asked = 0;
    const lost: string[] = [];
    let slowestMs = 0;
    const asking = (async () => {
      while (!over.signal.aborted) {
        const { image, milliseconds } = await this.admit().catch((error: unknown) => ({
          image: String(error),
          milliseconds: 0,
        }));
        asked += 1;
        slowestMs = Math.max(slowestMs, Math.round(milliseconds));
        if (!image.startsWith(`${PROXY_HOST}/`)) lost.push(`${image} after ${milliseconds.toFixed(0)} ms`);
        await pause(PAUSE_MS);
      }
    })();
    try {
      await work();
    } finally {
      over.abort();
      await asking;
    }
    return { asked, lost, slowestMs };
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }
}
