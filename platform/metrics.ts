/** The metrics of one process, in a registry of their own; these helpers keep names and units uniform. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** From 1 ms to 60 s, wide enough for an admission, a manifest and the head of a slow upstream's response. */
const LATENCY_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Names are given without the prefix `larder_`, and end in their unit: `_total`, `_seconds`, `_bytes`. */
export class Metrics {
  readonly registry = new Registry();

  /** @param process becomes the label `process` of every series */
  constructor(process: string) {
    this.registry.setDefaultLabels({ process });
  }

  /** Adds the metrics of Node itself: memory, CPU, event loop. */
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

  /**
   * @param collect called at every scrape, for a value that is cheaper to look up then than to keep up to
   * date
   */
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

  /** Default buckets: a latency in seconds. */
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
