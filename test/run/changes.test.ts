import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { changedFiles } from './changes.ts';

describe('the changed files', () => {
  let root: string;
  const git = (...args: string[]): void => {
    const identity = ['-c', 'user.name=test', '-c', 'user.email=test@example.test'];
    execFileSync('git', [...identity, ...args], { cwd: root, stdio: 'pipe' });
  };
  const commit = (file: string): void => {
    writeFileSync(join(root, file), file);
    git('add', '--all');
    git('commit', '--quiet', '--message', file);
  };

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'larder-changes-'));
    git('init', '--quiet', '--initial-branch', 'main');
    commit('first.ts');
    commit('second.ts');
  });

  afterEach(() => {
    rmSync(root, { recursive: true });
  });

  it('of a branch are those since it left main', () => {
    git('checkout', '--quiet', '-b', 'topic');
    commit('third.ts');
    commit('fourth.ts');
    expect(changedFiles(root)).toEqual(['fourth.ts', 'third.ts']);
  });

  it('of a branch that has just left main are those not committed yet', () => {
    git('checkout', '--quiet', '-b', 'topic');
    expect(changedFiles(root)).toEqual([]);
    writeFileSync(join(root, 'new.ts'), '');
    expect(changedFiles(root)).toEqual(['new.ts']);
  });

  it('of main are those of the last commit', () => {
    expect(changedFiles(root)).toEqual(['second.ts']);
  });

  it('include what is not committed, but nothing that is deleted', () => {
    git('checkout', '--quiet', '-b', 'topic');
    commit('third.ts');
    writeFileSync(join(root, 'new.ts'), '');
    writeFileSync(join(root, 'first.ts'), 'changed');
    rmSync(join(root, 'third.ts'));
    expect(changedFiles(root)).toEqual(['first.ts', 'new.ts']);
  });

  it('cannot be known outside a checkout', () => {
    rmSync(join(root, '.git'), { recursive: true });
    expect(() => changedFiles(root)).toThrow(/not a git checkout/);
  });
});
