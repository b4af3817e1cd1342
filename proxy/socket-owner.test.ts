import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { userOf, SocketOwners, type Ends } from './socket-owner.ts';

const ends: Ends = {
  remoteAddress: '127.0.0.1',
  remotePort: 0xd431,
  localAddress: '127.0.0.1',
  localPort: 7439,
};
const line = (from: string, to: string, uid: number, state = '01'): string =>
  `   1: ${from} ${to} ${state} 00000000:00000000 00:00000000 00000000 ${uid}        0 42 1 0000 20 4 0 10 -1`;
const THEIRS = '0100007F:D431';
const OURS = '0100007F:1D0F';

describe('the owner of a connection', () => {
  it.each([
    ['the end that is theirs, not ours', [line(OURS, THEIRS, 65532), line(THEIRS, OURS, 1000)], 1000],
    ['another port', [line('0100007F:D432', OURS, 1000)], undefined],
    ['another address with the same ports', [line('0A4D0001:D431', '0A4D0002:1D0F', 1000)], undefined],
    ['one that was left', [line(THEIRS, OURS, 0, '06')], undefined],
    ['a table that is none', ['', 'sl local_address'], undefined],
    [
      'an IPv4 address written as IPv6',
      [line(`0000000000000000FFFF0000${THEIRS}`, `0000000000000000FFFF0000${OURS}`, 7)],
      7,
    ],
  ])('%s', (_, lines, user) => {
    expect(userOf(ends, lines.join('\n'))).toBe(user);
  });

  it('is found over IPv6', () => {
    const loopback = '00000000000000000000000001000000';
    const six = { ...ends, remoteAddress: '::1', localAddress: '::1' };
    expect(userOf(six, line(`${loopback}:D431`, `${loopback}:1D0F`, 7))).toBe(7);
  });

  it('is ourselves when we connect', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const client = connect(server.address() as { port: number; address: string });
    const [socket] = await accepted;
    expect(await new SocketOwners().isRoot(socket)).toBe(process.getuid?.() === 0);
    client.destroy();
    server.close();
  });
});

describe("a connection is root's", () => {
  const owners = (uid: number): SocketOwners =>
    new SocketOwners(() => Promise.resolve(line(THEIRS, OURS, uid)));

  it('when root opened it and nobody else', async () => {
    expect([await owners(0).isRoot(ends), await owners(65532).isRoot(ends)]).toEqual([true, false]);
  });

  it('where the kernel does not tell', async () => {
    expect(await new SocketOwners(() => Promise.reject(new Error('no /proc'))).isRoot(ends)).toBe(true);
  });

  it('as it was when it was first asked', async () => {
    let reads = 0;
    const counting = new SocketOwners(() => {
      reads++;
      return Promise.resolve(line(THEIRS, OURS, 0));
    });
    await counting.isRoot(ends);
    await counting.isRoot(ends);
    expect(reads).toBe(1);
  });
});
