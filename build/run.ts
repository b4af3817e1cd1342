/** Runs a program to its end. */
import { spawn } from 'node:child_process';

/** @throws {Error} with the end of the program's output when its exit code is not 0, or it cannot be run */
export function run(argv: readonly string[], cwd?: string): Promise<string> {
  const [program = '', ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...(cwd ? { cwd } : {}) });
    let out = '';
    let problems = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (problems += text));
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(out);
      else
        reject(
          new Error(
            `${argv.join(' ')} ended with ${code ?? 'a signal'}: ${(problems || out).slice(-1500).trim()}`,
          ),
        );
    });
  });
}
