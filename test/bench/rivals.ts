/**
 * What Larder is compared with on the same machine: nginx as a proxy of the same registry, and distribution
 * as a pull-through cache.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildRegistry } from '../../build/programs.ts';
import { hasProgram, run } from '../cluster/command.ts';
import type { Program, Programs } from './programs.ts';
import { freeLoopbackPort } from '../../platform/ports.ts';

export interface Rival {
  readonly program: Program;
  readonly url: string;
}

/** nginx with one worker and large buffers. It shows the registry `authorization`, as our proxy does. */
export async function startNginx(
  programs: Programs,
  { target, authorization, signal }: { target: string; authorization: string; signal: AbortSignal },
): Promise<Rival> {
  if (!hasProgram('nginx')) await installNginx(signal);
  const port = await freeLoopbackPort();
  const folder = programs.subfolder('nginx');
  const file = join(folder, 'nginx.conf');
  await writeFile(file, nginxConfig({ folder, port, target, authorization }));
  const program = await programs.start({ name: 'nginx', argv: ['nginx', '-p', folder, '-c', file], port });
  return { program, url: `http://127.0.0.1:${port}` };
}

function nginxConfig({
  folder,
  port,
  target,
  authorization,
}: Record<'folder' | 'target' | 'authorization', string> & { port: number }): string {
  return `
daemon off;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
worker_processes 1;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  upstream store { server ${new URL(target).host}; keepalive 64; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://store;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Authorization "${authorization}";
      proxy_buffering on;
      proxy_buffer_size 64k;
      proxy_buffers 16 512k;
      proxy_busy_buffers_size 4m;
      proxy_max_temp_file_size 0;
    }
  }
}
`;
}

async function installNginx(signal: AbortSignal): Promise<void> {
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await run(['apt-get', 'update', '-qq'], { env, signal });
  // The package would start a server of its own on port 80, and nobody asked for that.
  const policy =
    'printf "#!/bin/sh\\nexit 101\\n" > "$1" && chmod +x "$1"; shift; "$@"; status=$?; rm -f /usr/sbin/policy-rc.d; exit $status';
  const install = ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', 'nginx-light'];
  await run(['sh', '-c', policy, 'install', '/usr/sbin/policy-rc.d', ...install], { env, signal });
}

/** A registry without login that may be written, over a folder of its own or of another registry. */
export async function startDistribution(
  programs: Programs,
  { name, dataFolder, pullThrough }: { name: string; dataFolder: string; pullThrough?: string },
): Promise<Rival> {
  const port = await freeLoopbackPort();
  const file = join(programs.folder, `${name}.json`);
  const config = {
    version: '0.1',
    log: { level: 'warn', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: dataFolder }, delete: { enabled: true } },
    http: { addr: `127.0.0.1:${port}`, secret: 'bench' },
    ...(pullThrough === undefined ? {} : { proxy: { remoteurl: pullThrough } }),
  };
  await writeFile(file, JSON.stringify(config));
  const program = await programs.start({
    name,
    argv: [await buildRegistry(), 'serve', file],
    env: { OTEL_TRACES_EXPORTER: 'none' },
    port,
  });
  return { program, url: `http://127.0.0.1:${port}` };
}
