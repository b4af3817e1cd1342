/** The uninstaller: runs once, as a hook of `helm uninstall`, before anything of the release is deleted. */
import { systemClock } from '../../platform/clock.ts';
import { loadConfig } from '../../platform/config.ts';
import { KubeClient } from '../../platform/kube/client.ts';
import { connect, loadKubeConfig } from '../../platform/kube/connection.ts';
import { EventRecorder } from '../../platform/kube/events.ts';
import { createLogger } from '../../platform/log.ts';
import { uninstallConfig } from './config.ts';
import { prepareUninstall } from './prepare.ts';

const log = createLogger({ process: 'uninstall', level: 'info' });
const stopping = new AbortController();
process.once('SIGTERM', () => {
  stopping.abort(new Error('received SIGTERM'));
});
try {
  const settings = loadConfig(uninstallConfig, process.env);
  const connection = connect(loadKubeConfig());
  const client = new KubeClient(connection, 'larder-uninstall');
  const events = new EventRecorder({
    client,
    log,
    controller: 'larder.dev/uninstall',
    instance: settings.identity,
  });
  const { signal } = stopping;
  await prepareUninstall({
    ...settings,
    client,
    events,
    clock: systemClock,
    log,
    signal,
  });
  await connection.close();
} catch (error) {
  log.error('uninstall not prepared', { error });
  process.exitCode = 1;
}
