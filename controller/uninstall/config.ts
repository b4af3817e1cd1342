/** The settings of the job that runs before an uninstall. */
import { PROXY_HOST } from '../../api/names.ts';
import { defineConfig } from '../../platform/config.ts';
import { identitySettings, releaseSettings } from '../../platform/release-settings.ts';
import { boolean, text } from '../../platform/settings.ts';

export const uninstallConfig = defineConfig({
  ...releaseSettings,
  ...identitySettings,
  proxyHost: {
    env: 'LARDER_PROXY_ADDRESS',
    default: PROXY_HOST,
    help: 'host and port of the proxy in the names of rewritten images',
    schema: text(),
  },
  restartOwners: {
    env: 'LARDER_RESTART_OWNERS',
    default: 'false',
    help: 'whether Deployments, StatefulSets and DaemonSets whose running pods still go through the cache are restarted',
    schema: boolean(),
  },
  startupTaint: {
    env: 'LARDER_STARTUP_TAINT',
    default: 'false',
    help: 'whether nodes may have the startup taint, which is then removed from them',
    schema: boolean(),
  },
});
