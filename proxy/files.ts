/** The mounted files that the proxy reads, and goes on reading as they change. */
import { FileValue } from '../platform/file-watch.ts';
import type { Logger } from '../platform/log.ts';
import { type CapabilityKey, parseCapabilityKeys } from '../registry/core/capability.ts';
import {
  parseUpstreamSettings,
  upstreamFiles,
  type UpstreamSettings,
} from '../registry/transport/settings/upstream-settings.ts';

/** Empty while the file is absent: what is in the store has to be served all the same. */
export async function readText(path: string, log: Logger): Promise<FileValue<string>> {
  return FileValue.read({ paths: [path], log, parse: ([content]) => content?.toString('utf8').trim() ?? '' });
}

/** Empty while the file is absent or holds no key: public images have to be served all the same. */
export async function readKeys(path: string, log: Logger): Promise<FileValue<readonly CapabilityKey[]>> {
  const onBadLine = (line: number): void => {
    log.warn('a line of the capability keys is no key', { path, line });
  };
  return FileValue.read({
    paths: [path],
    log,
    parse: ([content]) => parseCapabilityKeys(content?.toString('utf8') ?? '', onBadLine),
  });
}

/** @throws when the settings cannot be used */
export async function readUpstreams(
  path: string | undefined,
  log: Logger,
): Promise<FileValue<UpstreamSettings[]>> {
  const paths = await upstreamFiles(path);
  return FileValue.read({ paths, log, parse: (contents) => parseUpstreamSettings(paths, contents) });
}
