/**
 * Leaves a registry alone for as long as it asks: by 429 with Retry-After, or by RateLimit headers with
 * nothing left.
 */
import { LRUCache } from 'lru-cache';
import { RegistryError } from '../core/errors.ts';
import { parseRetryAfter } from './http/http-error.ts';

export interface PaceOptions {
  /** How long to pause after a 429 that does not say for how long. Milliseconds. */
  readonly defaultPauseMs: number;
  /** The longest pause, whatever a registry says. Milliseconds. */
  readonly maxPauseMs: number;
  /** Milliseconds of a clock that never jumps. */
  readonly now: () => number;
}

type Header = (name: string) => string | undefined;

/** One registry and one login: registries count their limits per login. */
export interface Lane {
  /** @throws RegistryError `RateLimited` while the registry is to be left alone */
  admit(): void;
  /** Learns from a response. */
  heard(status: number, header: Header): void;
}

const MAX_LANES = 10_000;

export class Pace {
  readonly #options: PaceOptions;
  readonly #pausedUntil = new LRUCache<string, number>({ max: MAX_LANES });

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  /** @param login identifies the login; empty for none */
  lane(host: string, login: string): Lane {
    const key = `${host} ${login}`;
    return {
      admit: () => {
        this.#admit(host, key);
      },
      heard: (status, header) => {
        this.#heard(key, status, header);
      },
    };
  }

  #admit(host: string, key: string): void {
    const leftMs = (this.#pausedUntil.get(key) ?? 0) - this.#options.now();
    if (leftMs <= 0) return;
    throw new RegistryError(`${host} has asked to be left alone for a while`, {
      reason: 'RateLimited',
      retryAfterSeconds: Math.ceil(leftMs / 1_000),
    });
  }

  #heard(key: string, status: number, header: Header): void {
    const { defaultPauseMs, maxPauseMs, now } = this.#options;
    const seconds = status === 429 ? parseRetryAfter(header('retry-after'), Date.now()) : undefined;
    const pauseMs =
      status === 429
        ? (seconds ?? secondsUntilReset(header) ?? defaultPauseMs / 1_000) * 1_000
        : (exhaustedFor(header) ?? 0) * 1_000;
    if (pauseMs <= 0) return;
    this.#pausedUntil.set(key, now() + Math.min(pauseMs, maxPauseMs));
  }
}

/** Seconds until more requests are allowed, for a response that says that none is left. */
function exhaustedFor(header: Header): number | undefined {
  const remaining = parameter(header('ratelimit'), 'r') ?? leading(header('ratelimit-remaining'));
  return remaining === 0 ? secondsUntilReset(header) : undefined;
}

/** By the IETF drafts "RateLimit header fields for HTTP": the current field, else the old ones. */
function secondsUntilReset(header: Header): number | undefined {
  return parameter(header('ratelimit'), 't') ?? leading(header('ratelimit-reset'));
}

/** The number at the beginning of a field; Docker Hub writes `0;w=21600`. */
function leading(field = ''): number | undefined {
  const [, digits] = /^\s*(\d{1,9})\s*(?:;|$)/.exec(field) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/** A parameter of a field such as `"default";r=0;t=30`. */
function parameter(field: string | undefined, name: 'r' | 't'): number | undefined {
  const [, digits] = new RegExp(`;\\s*${name}=(\\d{1,9})(?:\\s*[;,]|\\s*$)`).exec(field ?? '') ?? [];
  return digits === undefined ? undefined : Number(digits);
}
