/**
 * What the machine has to bring before anything can be built or run: `prerequisites.sh` knows, for the
 * Makefile too.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { UserError } from './program.ts';

const SCRIPT = join(import.meta.dirname, 'prerequisites.sh');

/** Something is missing that only the user can bring. */
export class PrerequisiteError extends UserError {
  override readonly name = 'PrerequisiteError';
}

/** @throws {PrerequisiteError} that says what is missing, and what to do. */
export function requirePrerequisites(...needs: readonly ('go' | 'linux' | 'root')[]): void {
  const { status, stderr } = spawnSync(SCRIPT, needs, { encoding: 'utf8' });
  if (status !== 0) throw new PrerequisiteError(stderr.trim().replace(/^larder: /, ''));
}
