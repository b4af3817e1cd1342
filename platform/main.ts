/** What every `main.ts` has in common: `--help`, settings, logger, signals and exit code. */
import { type ConfigDeclaration, ConfigError, type ConfigOf, describeConfig, loadConfig } from './config.ts';
import { createLogger, LOG_LEVELS, type Logger } from './log.ts';
import { Metrics } from './metrics.ts';
import { type Component, runGroup } from './run.ts';
import { oneOf } from './settings.ts';

/** The usual exit code of a program that was called wrongly. */
const EXIT_USAGE = 2;

const LOG_LEVEL = {
  env: 'LARDER_LOG_LEVEL',
  default: 'info',
  help: `how much to log: ${LOG_LEVELS.join(', ')}`,
  schema: oneOf(...LOG_LEVELS),
};

/** What a process builds its components from. */
export interface MainContext<D extends ConfigDeclaration> {
  readonly settings: ConfigOf<D>;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Aborted by SIGTERM and SIGINT. */
  readonly signal: AbortSignal;
}

export interface MainOptions<D extends ConfigDeclaration> {
  /** The process's name, e.g. `webhook`. */
  readonly process: string;
  /** One line for `--help`. */
  readonly summary: string;
  readonly config: D;
  /** The composition root: builds the components, in the order in which they start. */
  readonly compose: (context: MainContext<D>) => Promise<readonly Component[]> | readonly Component[];
}

/** Runs a process to its end and sets its exit code: 0 stopped, 1 failed, 2 unusable settings. */
export async function runMain<D extends ConfigDeclaration>(options: MainOptions<D>): Promise<void> {
  const declaration = { ...options.config, logLevel: LOG_LEVEL };
  if (process.argv.includes('--help')) {
    process.stdout.write(describeConfig(options.process, options.summary, declaration));
    return;
  }
  let settings;
  try {
    settings = loadConfig(declaration, process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = EXIT_USAGE;
    return;
  }
  const log = createLogger({ process: options.process, level: settings.logLevel });
  const signal = shutdownSignal(log);
  try {
    const metrics = new Metrics(options.process).collectRuntime();
    const components = await options.compose({ settings, log, metrics, signal });
    log.info('starting', { node: process.version });
    await runGroup(components, { signal, log });
    log.info('stopped');
  } catch (error) {
    log.error('failed', { error });
    process.exitCode = 1;
  }
  // Whatever keeps the event loop alive, such as a socket that does not close, must not keep the process.
  setTimeout(() => {
    process.exit();
  }, 2_000).unref();
}

/** Aborted by the first signal, which asks to stop; the second ends the process at once. */
function shutdownSignal(log: Logger): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(1);
      log.info('stopping', { signal: name });
      controller.abort(new Error(`received ${name}`));
    });
  }
  return controller.signal;
}
