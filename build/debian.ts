/**
 * The few Debian files that the binaries need: the C and C++ libraries, and the public certificate
 * authorities.
 */
import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Architecture, DebianPin, ImageLock } from './lock-file.ts';
import { run } from './run.ts';

export const DEBIAN_PACKAGES = ['libc6', 'libstdc++6', 'libgcc-s1', 'ca-certificates'] as const;

const LIBRARY_FOLDERS: Readonly<Record<Architecture, string>> = {
  amd64: 'x86_64-linux-gnu',
  arm64: 'aarch64-linux-gnu',
};

/**
 * A separate apt for one architecture: it uses this machine's sources, but neither reads nor changes its
 * state.
 */
export class PrivateApt {
  readonly #folder: string;
  readonly #arch: Architecture;
  #updated: Promise<unknown> | undefined;

  constructor(folder: string, arch: Architecture) {
    this.#folder = folder;
    this.#arch = arch;
  }

  /**
   * Downloads a package, at a version if one is given.
   * @throws {Error} when Debian's archive no longer has it
   */
  async download(name: string, version?: string): Promise<{ file: string; version: string; sha256: string }> {
    this.#updated ??= this.#update();
    await this.#updated;
    const into = join(this.#folder, 'debs', name.replace(/\W/g, '-'));
    await rm(into, { recursive: true, force: true });
    await mkdir(into, { recursive: true });
    await this.#apt(['download', version === undefined ? name : `${name}=${version}`], into);
    const file = join(into, (await readdir(into))[0] ?? '');
    const found = await run(['dpkg-deb', '--field', file, 'Version']);
    const sha256 = createHash('sha256')
      .update(await readFile(file))
      .digest('hex');
    return { file, version: found.trim(), sha256 };
  }

  async #update(): Promise<void> {
    await mkdir(join(this.#folder, 'state/lists/partial'), { recursive: true });
    await mkdir(join(this.#folder, 'cache/archives/partial'), { recursive: true });
    await writeFile(join(this.#folder, 'state/status'), '');
    await this.#apt(['update', '-qq']);
  }

  async #apt(args: readonly string[], cwd?: string): Promise<void> {
    const settings = {
      'Dir::State': join(this.#folder, 'state'),
      'Dir::State::status': join(this.#folder, 'state/status'),
      'Dir::Cache': join(this.#folder, 'cache'),
      'APT::Architecture': this.#arch,
      'APT::Architectures': this.#arch,
      'APT::Sandbox::User': 'root',
    };
    const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
    await run(['apt-get', ...options, ...args], cwd);
  }
}

/**
 * Puts the libraries and certificates below `root`.
 * @throws {Error} when a package is no longer available at the pinned version, or its hash is not the pinned
 * one
 */
export async function installDebian(lock: ImageLock, arch: Architecture, root: string): Promise<void> {
  const scratch = `${root}.apt`;
  const apt = new PrivateApt(scratch, arch);
  const unpacked = join(scratch, 'unpacked');
  try {
    for (const name of DEBIAN_PACKAGES) {
      const pin = lock.debian[arch][name];
      if (!pin) throw new Error(`image.lock.json pins no ${name} for ${arch}: run \`make image-lock\``);
      await run(['dpkg-deb', '--extract', await fetchPinned(apt, name, pin), unpacked]);
    }
    await copyLibraries(unpacked, arch, root);
    await writeCertificates(join(unpacked, 'usr/share/ca-certificates/mozilla'), join(root, 'etc/ssl/certs'));
    await writeFile(
      join(root, 'etc/passwd'),
      'root:x:0:0:root:/:/sbin/nologin\nlarder:x:65532:65532:larder:/:/sbin/nologin\n',
    );
    await writeFile(join(root, 'etc/group'), 'root:x:0:\nlarder:x:65532:\n');
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function fetchPinned(apt: PrivateApt, name: string, pin: DebianPin): Promise<string> {
  const found = await apt.download(name, pin.version).catch((error: unknown) => {
    const advice = 'Debian replaces old versions; `make image-lock` pins the present ones';
    throw new Error(`${name} ${pin.version}, which image.lock.json pins, is not available: ${advice}`, {
      cause: error,
    });
  });
  if (found.sha256 !== pin.sha256)
    throw new Error(`${name} ${pin.version} is not the file that image.lock.json pins`);
  return found.file;
}

async function copyLibraries(unpacked: string, arch: Architecture, root: string): Promise<void> {
  const folder = LIBRARY_FOLDERS[arch];
  // Neither glibc's character converters nor the debugging aids of the others are needed here.
  const shared = (source: string): boolean =>
    !/\/(gconv|audit|debug)(\/|$)/.test(source) && !source.endsWith('.py');
  for (const part of [`lib/${folder}`, `usr/lib/${folder}`]) {
    await cp(join(unpacked, part), join(root, part), {
      recursive: true,
      filter: shared,
      verbatimSymlinks: true,
    });
  }
  const loader = arch === 'amd64' ? 'lib64/ld-linux-x86-64.so.2' : 'lib/ld-linux-aarch64.so.1';
  await mkdir(join(root, loader, '..'), { recursive: true });
  await cp(join(unpacked, loader), join(root, loader), { verbatimSymlinks: true });
}

async function writeCertificates(from: string, to: string): Promise<void> {
  const files = (await readdir(from)).filter((file) => file.endsWith('.crt')).sort();
  const texts = await Promise.all(files.map((file) => readFile(join(from, file), 'utf8')));
  await mkdir(to, { recursive: true });
  await writeFile(join(to, 'ca-certificates.crt'), texts.join(''));
}
