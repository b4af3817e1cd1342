/** The settings of the store. */
import { z } from 'zod';
import { defineConfig } from '../platform/config.ts';
import { bytes, duration, listenAddress, text } from '../platform/settings.ts';
import type { StorageDriver } from './distribution-config.ts';

export const config = defineConfig({
  readerListen: {
    env: 'LARDER_STORE_READER_LISTEN',
    default: ':5000',
    help: 'where the reading registry listens',
    schema: listenAddress(),
  },
  writerListen: {
    env: 'LARDER_STORE_WRITER_LISTEN',
    default: ':5001',
    help: 'where the writing registry listens',
    schema: listenAddress(),
  },
  supervisorListen: {
    env: 'LARDER_STORE_SUPERVISOR_LISTEN',
    default: ':5002',
    help: 'where the supervisor answers /status and /collect',
    schema: listenAddress(),
  },
  metricsListen: {
    env: 'LARDER_METRICS_LISTEN',
    default: ':8080',
    help: 'where /healthz, /readyz and /metrics are served',
    schema: listenAddress(),
  },
  dataFolder: {
    env: 'LARDER_STORE_DATA',
    default: '/var/lib/larder/store',
    help: 'folder of the volume: images (unless they are kept in an object store) and the record of the last collection',
    schema: text(),
  },
  runFolder: {
    env: 'LARDER_STORE_RUN',
    default: '/run/larder',
    help: 'folder, best in memory, for the configuration files of the registries',
    schema: text(),
  },
  trustFolder: {
    env: 'LARDER_STORE_TRUST',
    default: '/etc/larder/store-trust',
    help: 'folder with reader.jwks.json and writer.jwks.json, the public keys of the logins',
    schema: text(),
  },
  registryProgram: {
    env: 'LARDER_STORE_REGISTRY',
    default: '/usr/local/bin/registry',
    help: 'the CNCF distribution program',
    schema: text(),
  },
  storage: {
    env: 'LARDER_STORE_STORAGE',
    help: 'a storage driver of CNCF distribution as JSON, e.g. {"s3":{"region":"eu-west-1","bucket":"images"}}; its credentials come from the environment (AWS_…). Absent: the data folder',
    schema: storageDriver().optional(),
  },
  drain: {
    env: 'LARDER_STORE_DRAIN',
    default: '60s',
    help: 'how long requests under way may take to end before a collection or a change of keys cuts them',
    schema: duration(),
  },
  scrubPace: {
    env: 'LARDER_STORE_SCRUB_PACE',
    default: '16Mi',
    help: 'how many bytes a second are hashed, at most, to find blobs that the volume has corrupted',
    schema: bytes(),
  },
  scrubPause: {
    env: 'LARDER_STORE_SCRUB_PAUSE',
    default: '1h',
    help: 'how long to wait before all blobs are hashed again',
    schema: duration(),
  },
  collectDeadline: {
    env: 'LARDER_STORE_COLLECT_DEADLINE',
    default: '1h',
    help: 'how long a collection may keep the writing registry stopped',
    schema: duration(),
  },
});

function storageDriver(): z.ZodType<StorageDriver, string> {
  return z.string().transform((json, context) => {
    const parsed = z.record(z.string(), z.record(z.string(), z.unknown())).safeParse(parseJson(json));
    const [entry, ...others] = parsed.success ? Object.entries(parsed.data) : [];
    if (entry && others.length === 0) return { name: entry[0], parameters: entry[1] };
    context.addIssue({ code: 'custom', message: 'must be a JSON object with one storage driver in it' });
    return z.NEVER;
  });
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
