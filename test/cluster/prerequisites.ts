/** What a cluster needs of the machine: Linux, root, and a few programs of its distribution. */
import { existsSync } from 'node:fs';
import { PrerequisiteError, requirePrerequisites } from '../../build/prerequisites.ts';
import { hasProgram, run } from './command.ts';

/** Program → Debian package. */
const packages = {
  runc: 'runc',
  nft: 'nftables',
  ip: 'iproute2',
  tc: 'iproute2',
  modprobe: 'kmod',
  nsenter: 'util-linux',
  mount: 'mount',
  perl: 'perl-base',
};

/**
 * Checks the machine, and installs missing packages where it is a Debian.
 * @throws {PrerequisiteError}
 */
export async function ensurePrerequisites(
  report: (line: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  requirePrerequisites('linux', 'root');
  const missing = [
    ...new Set(Object.entries(packages).flatMap(([program, name]) => (hasProgram(program) ? [] : [name]))),
  ];
  if (missing.length > 0) await install(missing, report, signal);
  await loadKernelModules();
}

async function install(
  missing: readonly string[],
  report: (line: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  if (!hasProgram('apt-get')) {
    throw new PrerequisiteError(
      `these packages are missing: install ${missing.join(', ')} with your package manager`,
    );
  }
  report(`installing ${missing.join(' ')} …`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await run(['apt-get', 'update', '-qq'], { env, signal });
  await run(['apt-get', 'install', '-y', '-qq', '--no-install-recommends', ...missing], { env, signal });
}

/**
 * Some kernels have these built in, and some cannot load modules at all; if one is really missing, the
 * cluster does not start.
 */
async function loadKernelModules(): Promise<void> {
  const wanted = {
    overlay: '/sys/module/overlay',
    br_netfilter: '/proc/sys/net/bridge',
    nf_tables: '/sys/module/nf_tables',
  };
  const names = Object.entries(wanted).flatMap(([name, sign]) => (existsSync(sign) ? [] : [name]));
  if (names.length > 0) await run(['modprobe', '--all', '--quiet', ...names]).catch(() => undefined);
}
