/**
 * The kubelet's startup probe, run in the proxy's container: exits 0 once an image has been read through that
 * proxy.
 */
import { request } from 'node:http';
import { STARTUP_PROBE_PATH } from './own-socket.ts';

const [socketPath = ''] = process.argv.slice(2);
process.exitCode = 1;
request({ socketPath, path: STARTUP_PROBE_PATH }, (response) => {
  response.resume();
  if (response.statusCode === 200) process.exitCode = 0;
})
  .on('error', (error) => process.stderr.write(`${error.message}\n`))
  .end();
