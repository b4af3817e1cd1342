import { parseArgs } from 'node:util';
import { asksForHelp, explain, UsageError, UserError } from './program.ts';

describe('a program of the checkout', () => {
  it.each([[['help']], [['-h']], [['up', '--help']], [['exec', 'node-1', '--help', '--', 'ls']]])(
    'shows its help for %j',
    (argv) => {
      expect(asksForHelp(argv)).toBe(true);
    },
  );

  it.each([[[]], [['up']], [['kubectl', '--', '--help']], [['exec', 'node-1', '--', 'help']]])(
    'does not for %j',
    (argv) => {
      expect(asksForHelp(argv)).toBe(false);
    },
  );

  it('answers a mistake in what was typed with one sentence and exit code 2', () => {
    expect(explain(new UsageError('there is no verb x'))).toEqual({
      text: 'larder: there is no verb x',
      code: 2,
    });
  });

  it('shortens what Node says about an unknown option to its first sentence', () => {
    let thrown: unknown;
    try {
      parseArgs({ args: ['--wrong'], options: {}, allowPositionals: true });
    } catch (error) {
      thrown = error;
    }
    expect(explain(thrown)).toEqual({ text: "larder: Unknown option '--wrong'", code: 2 });
  });

  it('answers what the user has to put right with one sentence and exit code 1', () => {
    expect(explain(new UserError('no cluster runs'))).toEqual({ text: 'larder: no cluster runs', code: 1 });
  });

  it('shows the stack of anything else, with its causes', () => {
    const { text, code } = explain(new Error('outer', { cause: new TypeError('inner') }));
    expect(code).toBe(1);
    expect(text).toMatch(/^Error: outer\n\s+at [^]*\ncaused by TypeError: inner\n\s+at /);
  });
});
