/** The rights that a token is asked for. */

export type Action = 'pull' | 'push' | 'delete';

/** Rights to one repository; Docker's token protocol writes them `repository:<name>:<actions>`. */
export interface Scope {
  readonly repository: string;
  readonly actions: readonly Action[];
}

export function formatScope(scope: Scope): string {
  return `repository:${scope.repository}:${scope.actions.join(',')}`;
}
