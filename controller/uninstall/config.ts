/** The settings of the job that runs before an uninstall. */
import { hostname } from 'node:os';
import { PROXY_HOST } from '../../api/names.ts';
import { defineConfig } from '../../platform/config.ts';
import { boolean, text } from '../../platform/settings.ts';

export const uninstallConfig = defineConfig({
  namespace: {
    env: 'LARDER_NAMESPACE',
    help: 'the namespace of the release',
    schema: text(),
  },
  fullname: {
    env: 'LARDER_FULLNAME',
    help: 'the full name of the release, which the names of its objects start with',
    schema: text(),
  },
  proxyHost: {
    env: 'LARDER_PROXY_ADDRESS',
    default: PROXY_HOST,
    help: 'host and port of the proxy as rewritten images name it',
    schema: text(),
  },
  restartOwners: {
    env: 'LARDER_RESTART_OWNERS',
    default: 'false',
    help: 'whether Deployments, StatefulSets and DaemonSets whose running pods still go through the cache are restarted',
    schema: boolean(),
  },
  identity: {
    env: 'LARDER_POD_NAME',
    default: hostname(),
    help: 'what the job calls itself in the lease and in Events',
    schema: text(),
  },
});
