/** What a token is asked for. */

export type Action = 'pull' | 'push' | 'delete';

/** A right to one repository, as Docker's token protocol writes it: `repository:<name>:<actions>`. */
export interface Scope {
  readonly repository: string;
  readonly actions: readonly Action[];
}

export function formatScope(scope: Scope): string {
  return `repository:${scope.repository}:${scope.actions.join(',')}`;
}
