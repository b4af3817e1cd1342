/** The cgroups that a node's pods live in, on machines with either version of cgroups, or both. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/**
 * Makes the cgroup in every hierarchy; the cpuset controller of version 1 must be given its processors and
 * memory.
 */
export function makeCgroup(path: string): void {
  for (const hierarchy of hierarchies()) {
    let folder = hierarchy;
    for (const part of path.split('/')) {
      const parent = folder;
      folder = join(parent, part);
      mkdirSync(folder, { recursive: true });
      for (const file of ['cpuset.cpus', 'cpuset.mems']) {
        if (existsSync(join(hierarchy, 'cgroup.controllers')) || !existsSync(join(folder, file))) continue;
        writeFileSync(join(folder, file), readFileSync(join(parent, file)));
      }
    }
  }
}

/** The folders of a cgroup that exist. */
export function cgroupFolders(name: string): string[] {
  return hierarchies()
    .map((hierarchy) => join(hierarchy, name))
    .filter((folder) => existsSync(folder));
}

/**
 * Removes the cgroup and everything below it; its processes must have been killed, but may take a moment to
 * go.
 */
export async function removeCgroups(name: string): Promise<void> {
  const deadline = performance.now() + 20_000;
  for (const folder of cgroupFolders(name)) {
    while (!removeTree(folder)) {
      if (performance.now() > deadline) throw new Error(`the cgroup ${folder} is still in use`);
      await pause(20);
    }
  }
}

function removeTree(folder: string): boolean {
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory() && !removeTree(join(folder, entry.name))) return false;
    }
    rmdirSync(folder);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return true;
    if (code === 'EBUSY') return false;
    throw error;
  }
}

function hierarchies(): string[] {
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '));
  return mounts
    .filter(([, , type]) => type === 'cgroup' || type === 'cgroup2')
    .map(([, folder]) => folder ?? '');
}
