/**
 * `make image-lock`: pins the present versions of what the container image is made of, in image.lock.json.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEBIAN_PACKAGES, PrivateApt } from './debian.ts';
import { ARCHITECTURES, type Architecture, type DebianPin, writeLock } from './lock-file.ts';
import { fetchNodePackage } from './node-binary.ts';

async function pinDebian(arch: Architecture, folder: string): Promise<Record<string, DebianPin>> {
  const apt = new PrivateApt(join(folder, arch), arch);
  const pins: Record<string, DebianPin> = {};
  for (const name of DEBIAN_PACKAGES) {
    const { version, sha256 } = await apt.download(name);
    pins[name] = { version, sha256 };
  }
  return pins;
}

const folder = await mkdtemp(join(tmpdir(), 'larder-lock-'));
try {
  const manifest = JSON.parse(await readFile(join(import.meta.dirname, '../package.json'), 'utf8')) as {
    devDependencies: { node: string };
  };
  const version = manifest.devDependencies.node;
  const integrity = { amd64: '', arm64: '' };
  const debian: Record<Architecture, Record<string, DebianPin>> = { amd64: {}, arm64: {} };
  for (const arch of ARCHITECTURES) {
    integrity[arch] = (await fetchNodePackage(version, arch, folder)).integrity;
    debian[arch] = await pinDebian(arch, folder);
  }
  await writeLock({ node: { version, integrity }, debian });
} finally {
  await rm(folder, { recursive: true, force: true });
}
