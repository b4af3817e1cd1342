/** The metrics of one process: a registry of its own, with short helpers that keep names and units uniform. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** From 1 ms to 60 s; what an admission, a manifest and a slow upstream head all fit into. */
const LATENCY_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Names are written without the prefix `larder_` and end in their unit (`_total`, `_seconds`, `_bytes`). */
export class Metrics {
  readonly registry = new Registry();

  /** @param process becomes the label `process` of every series */
  constructor(process: string) {
    this.registry.setDefaultLabels({ process });
  }

  /** Adds Node's own figures (memory, CPU, event loop). */
  collectRuntime(): this {
    collectDefaultMetrics({ register: this.registry });
    return this;
  }

  counter<L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
    return new Counter<L>({
      name: `larder_${name}`,
      help,
      labelNames: [...labelNames],
      registers: [this.registry],
    });
  }

  /** @param collect called at every scrape, to set a value that is cheaper to ask for than to follow */
  gauge<L extends string = never>(
    name: string,
    help: string,
    labelNames: readonly L[] = [],
    collect?: (gauge: Gauge<L>) => void,
  ): Gauge<L> {
    const gauge: Gauge<L> = new Gauge<L>({
      name: `larder_${name}`,
      help,
      labelNames: [...labelNames],
      registers: [this.registry],
      ...(collect
        ? {
            collect: () => {
              collect(gauge);
            },
          }
        : {}),
    });
    return gauge;
  }

  /** A latency in seconds unless other buckets are given. */
  histogram<L extends string = never>(
    name: string,
    help: string,
    labelNames: readonly L[] = [],
    buckets: readonly number[] = LATENCY_SECONDS,
  ): Histogram<L> {
    return new Histogram<L>({
      name: `larder_${name}`,
      help,
      labelNames: [...labelNames],
      buckets: [...buckets],
      registers: [this.registry],
    });
  }
}
