/**
 * How every program that a person starts answers: its help, one sentence about a mistake, or the stack of a
 * bug.
 */

/** What was typed makes no sense; the message is one sentence. Exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Only the user can put this right; the message is one sentence that says how. Exit code 1. */
export class UserError extends Error {
  override readonly name: string = 'UserError';
}

/** Ended by SIGINT or SIGTERM, after what was started had been taken down. Exit code 130. */
export class InterruptedError extends UserError {
  override readonly name = 'InterruptedError';
}

/**
 * Runs `main` with the arguments and sets the exit code: the number that it gives, else 0.
 * @param help printed for `help`, `-h` and `--help` in place of running anything; what follows `--` does not
 * count.
 */
export async function runProgram(
  help: string,
  main: (argv: readonly string[]) => Promise<number | undefined>,
  argv: readonly string[] = process.argv.slice(2),
): Promise<void> {
  if (asksForHelp(argv)) {
    console.log(help.trimEnd());
    return;
  }
  try {
    process.exitCode = (await main(argv)) ?? process.exitCode ?? 0;
  } catch (error) {
    const { text, code } = explain(error);
    console.error(text);
    process.exitCode = code;
  }
}

export function asksForHelp(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  const own = end < 0 ? argv : argv.slice(0, end);
  return own[0] === 'help' || own.includes('-h') || own.includes('--help');
}

/** The text for standard error, and the exit code. */
export function explain(error: unknown): { readonly text: string; readonly code: number } {
  if (error instanceof UsageError) return { text: `larder: ${error.message}`, code: 2 };
  if (error instanceof InterruptedError) return { text: `larder: ${error.message}`, code: 130 };
  if (isFromParseArgs(error)) return { text: `larder: ${firstSentence(error.message)}`, code: 2 };
  if (error instanceof UserError) return { text: `larder: ${error.message}`, code: 1 };
  return { text: error instanceof Error ? withCauses(error) : String(error), code: 1 };
}

function isFromParseArgs(error: unknown): error is { readonly message: string } {
  if (typeof error !== 'object' || error === null || !('code' in error) || !('message' in error))
    return false;
  return String(error.code).startsWith('ERR_PARSE_ARGS_');
}

/** Node appends advice about `--` that does not fit here. */
function firstSentence(message: string): string {
  return message.split(/\.\s/)[0] ?? message;
}

function withCauses(error: Error): string {
  const own = error.stack ?? error.message;
  return error.cause instanceof Error ? `${own}\ncaused by ${withCauses(error.cause)}` : own;
}
