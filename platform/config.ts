/** The settings of a process, declared once, read from environment variables and printed by `--help`. */
import type { z } from 'zod';

/**
 * One setting. Its schema receives the variable's text, or `undefined` when neither it nor a default is
 * given.
 */
export interface Setting<S extends z.ZodType = z.ZodType> {
  /** The environment variable, `LARDER_…`. */
  readonly env: string;
  /** Used when the variable is absent or empty; written as in the variable. */
  readonly default?: string;
  /** One line for `--help`, with the unit. */
  readonly help: string;
  readonly schema: S;
}

export type ConfigDeclaration = Readonly<Record<string, Setting>>;

/** The values that a declaration yields. */
export type ConfigOf<D extends ConfigDeclaration> = {
  readonly [K in keyof D]: z.output<D[K]['schema']>;
};

/** Settings that cannot be used. Lists all problems, each as a sentence that names its variable. */
export class ConfigError extends Error {
  readonly code = 'InvalidConfiguration';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** Declares settings. It does nothing but let the compiler infer their types. */
export function defineConfig<const D extends ConfigDeclaration>(declaration: D): D {
  return declaration;
}

/**
 * Reads every declared setting.
 * @throws {ConfigError} naming all variables that are missing or malformed, without their values, which may
 * be secret
 */
export function loadConfig<D extends ConfigDeclaration>(declaration: D, env: NodeJS.ProcessEnv): ConfigOf<D> {
  const values: Record<string, unknown> = {};
  const problems: string[] = [];
  for (const [name, setting] of Object.entries(declaration)) {
    const text = given(env[setting.env]) ?? setting.default;
    const parsed = setting.schema.safeParse(text);
    if (parsed.success) {
      values[name] = parsed.data;
    } else if (text === undefined) {
      problems.push(`${setting.env} is not set: it gives ${setting.help}.`);
    } else {
      problems.push(`${setting.env} ${parsed.error.issues.map((issue) => issue.message).join('; ')}.`);
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return values as ConfigOf<D>;
}

/** The text of `--help`. */
export function describeConfig(process: string, summary: string, declaration: ConfigDeclaration): string {
  const lines = Object.values(declaration).flatMap((setting) => [
    `  ${setting.env}`,
    `      ${setting.help}${setting.default === undefined ? '' : ` (default: ${setting.default || 'empty'})`}`,
  ]);
  return [`The ${process} of Larder: ${summary}`, '', 'Settings (environment variables):', ...lines, ''].join(
    '\n',
  );
}

/** Empty counts as absent, since a chart renders a missing value as an empty variable. */
function given(text: string | undefined): string | undefined {
  return text === undefined || text.trim() === '' ? undefined : text.trim();
}
