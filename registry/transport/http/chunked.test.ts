import { ChunkedDecoder } from './chunked.ts';

function decode(...pieces: string[]): { text: string; done: boolean } {
  const decoder = new ChunkedDecoder();
  const content = pieces.flatMap((piece) => decoder.decode(Buffer.from(piece)));
  return { text: Buffer.concat(content).toString(), done: decoder.done };
}

describe('the chunked coding', () => {
  const coded = '5;ext=1\r\nhello\r\n6 \r\n world\r\n0\r\nTrailer: x\r\n\r\n';

  it('is taken apart the same wherever the network cuts it', () => {
    for (let cut = 0; cut <= coded.length; cut += 1) {
      expect(decode(coded.slice(0, cut), coded.slice(cut))).toEqual({ text: 'hello world', done: true });
    }
    expect(decode(...Array.from(coded, (each) => each))).toEqual({ text: 'hello world', done: true });
  });

  it('is not at its end before the empty line', () => {
    expect(decode(coded.slice(0, -2))).toEqual({ text: 'hello world', done: false });
  });

  it.each(['x\r\n', '\r\n', '-1\r\n', '5\r\nhelloo\r\n', '1'.repeat(9_000), `0\r\n\r\nmore`])(
    'is refused when it is %.20j',
    (text) => {
      expect(() => decode(text)).toThrow('the answer');
    },
  );
});
