/** The settings of the store. */
import { z } from 'zod';
import { defineConfig } from '../platform/config.ts';
import { metricsSettings } from '../platform/release-settings.ts';
import { bytes, duration, listenAddress, text } from '../platform/settings.ts';
import type { StorageDriver } from './distribution-config.ts';

export const storeConfig = defineConfig({
  readerListen: {
    env: 'LARDER_STORE_READER_LISTEN',
    default: ':5000',
    help: 'where the reader, the read-only registry, listens',
    schema: listenAddress(),
  },
  writerListen: {
    env: 'LARDER_STORE_WRITER_LISTEN',
    default: ':5001',
    help: 'where the writer, the registry that accepts pushes, listens',
    schema: listenAddress(),
  },
  supervisorListen: {
    env: 'LARDER_STORE_SUPERVISOR_LISTEN',
    default: ':5002',
    help: 'where the supervisor answers /status and /collect',
    schema: listenAddress(),
  },
  ...metricsSettings,
  dataFolder: {
    env: 'LARDER_STORE_DATA',
    default: '/var/lib/larder/store',
    help: 'folder on the volume for the images (unless an object store keeps them) and the record of the last collection',
    schema: text(),
  },
  runFolder: {
    env: 'LARDER_STORE_RUN',
    default: '/run/larder',
    help: 'folder for the configuration files of the registries, preferably in memory',
    schema: text(),
  },
  trustFolder: {
    env: 'LARDER_STORE_TRUST',
    default: '/etc/larder/store-trust',
    help: 'folder with the public keys of the logins, reader.jwks.json and writer.jwks.json',
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
    help: 'how long requests under way may take before a collection or a change of keys cuts them off',
    schema: duration(),
  },
  scrubPace: {
    env: 'LARDER_STORE_SCRUB_PACE',
    default: '16Mi',
    help: 'how many bytes a second are hashed at most, to find blobs that the volume has corrupted',
    schema: bytes(),
  },
  scrubPause: {
    env: 'LARDER_STORE_SCRUB_PAUSE',
    default: '1h',
    help: 'how long to wait before hashing all blobs again',
    schema: duration(),
  },
  collectDeadline: {
    env: 'LARDER_STORE_COLLECT_DEADLINE',
    default: '1h',
    help: 'how long a collection may keep the writer stopped',
    schema: duration(),
  },
});

function storageDriver(): z.ZodType<StorageDriver, string> {
  return z.string().transform((json, context) => {
    const parsed = z.record(z.string(), z.record(z.string(), z.unknown())).safeParse(parseJson(json));
    const [entry, ...others] = parsed.success ? Object.entries(parsed.data) : [];
    if (entry && others.length === 0) return { name: entry[0], parameters: entry[1] };
    context.addIssue({ code: 'custom', message: 'must be a JSON object that holds one storage driver' });
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
