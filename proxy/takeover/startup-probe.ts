/** The kubelet's startup probe of a proxy, run in its container: exits 0 once an image was read through that very proxy. */
import { request } from 'node:http';
import { STARTED_PATH } from './own-door.ts';

const [socketPath = ''] = process.argv.slice(2);
process.exitCode = 1;
request({ socketPath, path: STARTED_PATH }, (answer) => {
  answer.resume();
  if (answer.statusCode === 200) process.exitCode = 0;
})
  .on('error', (error) => process.stderr.write(`${error.message}\n`))
  .end();
