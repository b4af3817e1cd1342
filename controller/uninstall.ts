/** What runs once before the release is uninstalled: nobody would be left to take the finalizers off, so that deletions would hang. */
import { CACHED_IMAGE_FINALIZER, releaseNames } from '../api/names.ts';
import { ConfigError, loadConfig } from '../platform/config.ts';
import { KubeClient } from '../platform/kube/client.ts';
import { connect, loadKubeConfig } from '../platform/kube/connection.ts';
import { createLogger } from '../platform/log.ts';
import { uninstallConfig } from './config.ts';
import { releaseFinalizers } from './release-finalizers.ts';

const log = createLogger({ process: 'uninstall', level: 'info' });
try {
  const { namespace, fullname, identity } = loadConfig(uninstallConfig, process.env);
  const connection = connect(loadKubeConfig());
  const client = new KubeClient(connection, 'larder-uninstall');
  const lease = { namespace, name: releaseNames(fullname).leaderLease };
  const released = await releaseFinalizers({ client, log, lease, identity });
  log.info('finalizers taken off', { finalizer: CACHED_IMAGE_FINALIZER, images: released });
  await connection.close();
} catch (error) {
  log.error('finalizers could not be taken off', { error });
  process.exitCode = error instanceof ConfigError ? 2 : 1;
}
