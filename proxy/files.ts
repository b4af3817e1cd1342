/** The mounted files that the proxy reads, and goes on reading as they change. */
import { readCapabilityKeys } from '../api/capability-keys.ts';
import { FileValue } from '../platform/file-watch.ts';
import type { Logger } from '../platform/log.ts';
import type { CapabilityKey } from '../registry/core/capability.ts';
import {
  parseUpstreamSettings,
  upstreamFiles,
  type UpstreamSettings,
} from '../registry/transport/settings/upstream-settings.ts';

/** Empty while the file is absent: what is in the store has to be served all the same. */
export async function readText(path: string, log: Logger): Promise<FileValue<string>> {
  return FileValue.read({ paths: [path], log, parse: ([content]) => content?.toString('utf8').trim() ?? '' });
}

/** @throws when there is no key: no private image could be served */
export function readKeys(path: string, log: Logger): Promise<FileValue<readonly CapabilityKey[]>> {
  return FileValue.read({ paths: [path], log, parse: readCapabilityKeys });
}

/** @throws when the settings cannot be used */
export async function readUpstreams(
  path: string | undefined,
  log: Logger,
): Promise<FileValue<UpstreamSettings[]>> {
  const paths = await upstreamFiles(path);
  return FileValue.read({ paths, log, parse: (contents) => parseUpstreamSettings(paths, contents) });
}
