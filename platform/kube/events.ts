/** Events (events.k8s.io/v1) about objects. A repeated one becomes a series instead of many objects. */
import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { systemClock, type Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import { hideCapabilities } from '../redact.ts';
import type { Component } from '../run.ts';
import type { KubeClient } from './client.ts';
import { isNotFound } from './error.ts';
import { microTime } from './lease.ts';
import { apiVersionOf, events, type KubeObject, type ObjectRef, type Resource } from './resource.ts';

/** The object that an event is about. */
export interface EventSubject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
}

export interface EventToRecord {
  readonly regarding: EventSubject;
  readonly type: 'Normal' | 'Warning';
  /** Why; a stable word in CamelCase. */
  readonly reason: string;
  /** What was done or tried; a stable word in CamelCase. */
  readonly action: string;
  /** For people. Loses the capabilities of names in it, and is cut to 1,024 bytes, the API's limit. */
  readonly note: string;
}

type EventClient = Pick<KubeClient, 'create' | 'patch'>;

interface Series {
  readonly ref: ObjectRef;
  count: number;
  lastAt: number;
  /** Whether the count has changed since it was sent to the API server. */
  dirty: boolean;
  /** Settles when the first event has been stored, or could not be. */
  created: Promise<void>;
}

const MAX_NOTE_BYTES = 1_024;
const MAX_SERIES = 2_000;
/** A series ends when nothing has been added for this long, as in Kubernetes' own components. */
const SERIES_MS = 6 * 60_000;
const FLUSH_MS = 10_000;

/** Never throws and never makes the caller wait. An event that cannot be stored is logged and dropped. */
export class EventRecorder {
  readonly #client: EventClient;
  readonly #log: Logger;
  readonly #controller: string;
  readonly #instance: string;
  readonly #clock: Clock;
  readonly #series = new LRUCache<string, Series>({ max: MAX_SERIES });

  /** @param controller e.g. `larder.dev/controller`; `instance` e.g. the Pod's name */
  constructor(options: {
    client: EventClient;
    log: Logger;
    controller: string;
    instance: string;
    clock?: Clock;
  }) {
    this.#client = options.client;
    this.#log = options.log;
    this.#controller = options.controller;
    this.#instance = options.instance;
    this.#clock = options.clock ?? systemClock;
  }

  record(event: EventToRecord): void {
    const { regarding, type, reason, action, note } = event;
    const key = [regarding.uid, regarding.namespace, regarding.name, type, reason, action, note].join('\n');
    const now = this.#clock.now();
    const known = this.#series.get(key);
    if (known && now - known.lastAt < SERIES_MS) {
      Object.assign(known, { count: known.count + 1, lastAt: now, dirty: true });
      return;
    }
    const ref = { namespace: regarding.namespace ?? 'default', name: eventName(regarding.name) };
    this.#series.set(key, {
      ref,
      count: 1,
      lastAt: now,
      dirty: false,
      created: this.#create(ref, event, now),
    });
  }

  /** Updates the counts of the series in the API server, and forgets those that have ended. */
  async flush(): Promise<void> {
    const now = this.#clock.now();
    for (const [key, series] of [...this.#series.entries()]) {
      await series.created;
      if (series.dirty) await this.#update(series);
      if (now - series.lastAt >= SERIES_MS) this.#series.delete(key);
    }
  }

  /** Flushes every ten seconds, and a last time at the end. */
  component(): Component {
    return {
      name: 'events',
      start: () => {
        const timer = setInterval(() => void this.flush(), FLUSH_MS);
        return Promise.resolve({
          stop: async () => {
            clearInterval(timer);
            await this.flush();
          },
        });
      },
    };
  }

  async #create(ref: ObjectRef, event: EventToRecord, now: number): Promise<void> {
    const { regarding, type, reason, action } = event;
    const body = {
      metadata: ref,
      eventTime: microTime(now),
      reportingController: this.#controller,
      reportingInstance: this.#instance.slice(0, 128),
      action,
      reason,
      regarding,
      type,
      note: cut(hideCapabilities(event.note)),
    };
    await this.#client.create(events, body).catch((error: unknown) => {
      this.#log.warn('event not recorded', { reason, regarding, error });
    });
  }

  async #update(series: Series): Promise<void> {
    series.dirty = false;
    const body = { series: { count: series.count, lastObservedTime: microTime(series.lastAt) } };
    await this.#client.patch(events, series.ref, { type: 'merge', body }).catch((error: unknown) => {
      // The API server drops events after an hour; a series that outlives its event is over.
      if (!isNotFound(error)) this.#log.warn('event series not updated', { event: series.ref, error });
    });
  }
}

/** An object as the subject of an event. */
export function subjectOf(resource: Resource<KubeObject>, object: KubeObject): EventSubject {
  const { name = '', namespace, uid } = object.metadata ?? {};
  return {
    apiVersion: apiVersionOf(resource),
    kind: resource.kind,
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
  };
}

function eventName(subject: string): string {
  return `${subject.slice(0, 230).replace(/[^a-z0-9]+$/, '')}.${randomBytes(8).toString('hex')}`;
}

/** Never cuts within a character. */
function cut(note: string): string {
  const bytes = Buffer.from(note);
  return bytes.length <= MAX_NOTE_BYTES
    ? note
    : `${bytes
        .subarray(0, MAX_NOTE_BYTES - 6)
        .toString()
        .replace(/\uFFFD+$/, '')}…`;
}
