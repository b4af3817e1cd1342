/** Which files of the checkout have changed. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../build/program.ts';

/**
 * Paths, relative to `root`, of the files that differ from where this branch left main (on main itself: from
 * the last commit but one), together with what is not committed yet. Deleted files are left out.
 * @throws {UserError} when `root` is no git checkout
 */
export function changedFiles(root: string): string[] {
  const git = (...args: string[]): string | undefined => {
    const { status, stdout } = spawnSync('git', args, { cwd: root, encoding: 'utf8' });
    return status === 0 ? stdout.trim() : undefined;
  };
  const head = git('rev-parse', 'HEAD');
  if (head === undefined)
    throw new UserError('this is not a git checkout with a commit: run `make test` instead');
  const left = git('merge-base', 'HEAD', 'main') ?? git('merge-base', 'HEAD', 'origin/main');
  const onMain = git('symbolic-ref', '--short', 'HEAD') === 'main';
  const base = left === undefined || onMain ? (git('rev-parse', 'HEAD~') ?? head) : left;
  const listed = [
    git('diff', '--name-only', '--no-renames', base) ?? '',
    git('ls-files', '--others', '--exclude-standard') ?? '',
  ];
  const paths = new Set(listed.flatMap((list) => list.split('\n')).filter((path) => path !== ''));
  return [...paths].filter((path) => existsSync(join(root, path))).sort();
}
