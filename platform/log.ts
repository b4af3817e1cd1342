/**
 * Structured logs: one JSON object per line, with a constant message and fields, neither of which holds a
 * secret.
 */
import type { Writable } from 'node:stream';
import winston from 'winston';
import { redact } from './redact.ts';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const satisfies readonly LogLevel[];

export type LogFields = Readonly<Record<string, unknown>>;

/** Messages are constant; whatever varies goes into the fields. */
export interface Logger {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  /** A logger that adds these fields to each of its lines. */
  child(fields: LogFields): Logger;
}

export interface LoggerOptions {
  /** The field `process` of every line. */
  readonly process: string;
  readonly level?: LogLevel;
  /** Default: standard output. */
  readonly stream?: Writable;
}

/** Fields that every line has. The caller's field of the same name gets a `_` at its end. */
const RESERVED = new Set(['time', 'level', 'process', 'message']);

export function createLogger(options: LoggerOptions): Logger {
  const backend = winston.createLogger({
    level: options.level ?? 'info',
    // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- winston types its own transport as an interface
    transports: [new winston.transports.Stream({ stream: options.stream ?? process.stdout })],
    format: winston.format.printf(({ level, message, fields }) =>
      JSON.stringify({
        time: new Date().toISOString(),
        level,
        process: options.process,
        message,
        ...(fields as LogFields | undefined),
      }),
    ),
  });
  return wrap(backend, {});
}

/** A logger that writes nothing. */
export const silentLogger: Logger = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  child: () => silentLogger,
};

function wrap(backend: winston.Logger, base: LogFields): Logger {
  const write = (level: LogLevel, message: string, fields: LogFields = {}): void => {
    if (!backend.isLevelEnabled(level)) return;
    backend.log({ level, message, fields: printable({ ...base, ...fields }) });
  };
  return {
    error: (message, fields) => {
      write('error', message, fields);
    },
    warn: (message, fields) => {
      write('warn', message, fields);
    },
    info: (message, fields) => {
      write('info', message, fields);
    },
    debug: (message, fields) => {
      write('debug', message, fields);
    },
    child: (fields) => wrap(backend, { ...base, ...fields }),
  };
}

function printable(fields: LogFields): LogFields {
  const safe = redact(fields) as LogFields;
  return Object.fromEntries(
    Object.entries(safe).map(([name, value]) => [RESERVED.has(name) ? `${name}_` : name, value]),
  );
}
