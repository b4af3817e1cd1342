/** The settings of every process that works with the objects of its release. */
import { hostname } from 'node:os';
import { defineConfig } from './config.ts';
import { text } from './settings.ts';

/** Where the objects of the release are, and what their names start with. */
export const releaseSettings = defineConfig({
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
});

/** For processes that others are told of by name. */
export const identitySettings = defineConfig({
  identity: {
    env: 'LARDER_POD_NAME',
    default: hostname(),
    help: 'what this process calls itself in Events, and in the lease when it takes it',
    schema: text(),
  },
});
