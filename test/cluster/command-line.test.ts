import { UsageError } from '../../build/program.ts';
import { parseCommandLine, parseFault } from './command-line.ts';

describe('the command line of ./cluster', () => {
  it('has defaults', () => {
    expect(parseCommandLine(['up'])).toEqual({
      verb: 'up',
      words: [],
      slot: undefined,
      nodes: 2,
      layers: undefined,
      command: [],
    });
  });

  it('takes options before and after the words', () => {
    expect(parseCommandLine(['fault', '--slot', '3', 'example', 'cut'])).toMatchObject({
      verb: 'fault',
      words: ['example', 'cut'],
      slot: 3,
    });
    expect(parseCommandLine(['up', '--nodes=3', '--slot=1'])).toMatchObject({ nodes: 3, slot: 1 });
  });

  it('takes several layers', () => {
    const argv = ['push', 'plain', 'team/app', '1', '--layer', '2048', '--layer', '1048576'];
    expect(parseCommandLine(argv).layers).toEqual([2048, 1048576]);
  });

  it('leaves what follows -- as it is', () => {
    const argv = ['exec', 'node-1', '--slot', '2', '--', 'sh', '-c', 'echo --slot 9', '--', '--help'];
    expect(parseCommandLine(argv)).toMatchObject({
      words: ['node-1'],
      slot: 2,
      command: ['sh', '-c', 'echo --slot 9', '--', '--help'],
    });
  });

  it.each([
    [['launch'], 'there is no verb "launch": `./cluster help` lists them'],
    [['toString'], 'there is no verb "toString": `./cluster help` lists them'],
    [['up', '--nodes', 'x'], 'a cluster has 1 to 9 nodes, not "x"'],
    [['up', '--nodes', '0'], 'a cluster has 1 to 9 nodes, not "0"'],
    [['up', '--nodes', ''], 'a cluster has 1 to 9 nodes, not ""'],
    [['up', '--slot', '9'], 'a slot is one of 0, 1, 2, 3, 4, 5, not "9"'],
    [['up', 'now'], '"now" is one word too many: `./cluster up`'],
    [['up', '--', 'ls'], 'up takes nothing after `--`'],
    [['status', '--slot', '1'], 'status has no option --slot'],
    [['kubectl'], 'the command is missing: `./cluster kubectl -- …`'],
    [['kubectl', 'get', '--', 'pods'], '"get" is one word too many: `./cluster kubectl -- …`'],
    [['exec', '--', 'ls'], 'NODE is missing: `./cluster exec NODE -- …`'],
    [['exec', 'node-1'], 'the command is missing: `./cluster exec NODE -- …`'],
    [['fault', 'example'], 'FAULT is missing: `./cluster fault SITE FAULT`'],
    [['push', 'plain'], 'REPOSITORY is missing: `./cluster push SITE REPOSITORY TAG`'],
    [
      ['push', 'plain', 'a', '1', '--layer', '1000'],
      'the bytes of a layer are a multiple of 512 and at least 2048, not "1000"',
    ],
    [['freeze'], 'PROGRAM is missing: `./cluster freeze PROGRAM`'],
  ])('refuses %j with one sentence', (argv, message) => {
    expect(() => parseCommandLine(argv)).toThrow(new UsageError(message));
  });

  it('refuses options that nobody knows', () => {
    expect(() => parseCommandLine(['up', '--wrong'])).toThrow(/Unknown option '--wrong'/);
  });

  it('knows the faults of a link', () => {
    expect(parseFault('black-hole')).toBe('black-hole');
    expect(() => parseFault('explode')).toThrow(
      new UsageError('a fault is one of cut, black-hole, reject, slow, restore, not "explode"'),
    );
  });
});
