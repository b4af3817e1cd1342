/** A registry's access log, in the combined format that CNCF distribution writes. */
import { readFileSync, statSync } from 'node:fs';

export interface AccessLogEntry {
  readonly remote: string;
  /** Whole seconds. */
  readonly time: Date;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  /** Of the body sent. */
  readonly bytes: number;
  readonly userAgent: string;
}

const line = /^(\S+) \S+ \S+ \[([^\]]+)\] "(\S+) (\S+) [^"]*" (\d+) (\d+|-) "[^"]*" "([^"]*)"$/;

export function parseAccessLog(text: string): AccessLogEntry[] {
  return text.split('\n').flatMap((written) => {
    const [, remote = '', time = '', method = '', path = '', status, bytes, userAgent = ''] =
      line.exec(written) ?? [];
    if (status === undefined) return [];
    return [
      {
        remote,
        time: parseTime(time),
        method,
        path,
        status: Number(status),
        bytes: Number(bytes) || 0,
        userAgent,
      },
    ];
  });
}

/** `21/Nov/2026:03:20:15 +0000` */
function parseTime(text: string): Date {
  return new Date(text.replace(/^(\d+)\/(\w+)\/(\d+):/, '$1 $2 $3 '));
}

/** A log that grows: `mark` its end, and later read what has been added. */
export class AccessLog {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  /** The current end, in bytes, to read from later. */
  mark(): number {
    return statSync(this.#file).size;
  }

  entries(from = 0): AccessLogEntry[] {
    return parseAccessLog(readFileSync(this.#file).subarray(from).toString('utf8'));
  }
}
