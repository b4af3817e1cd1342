import { ResponseHeadReader, type ResponseHead } from './response-head.ts';

function readWhole(text: string, onInterim: () => void = () => undefined): ResponseHead | undefined {
  return new ResponseHeadReader().read(Buffer.from(text), onInterim);
}

describe('the head of a response', () => {
  const head = 'HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nETag:"x: y" \r\n\r\n';
  const expected = { status: 206, headers: { 'content-length': '5', etag: '"x: y"' } };

  it('is read with what has come of the body', () => {
    expect(readWhole(`${head}hello`)).toEqual({ ...expected, rest: Buffer.from('hello') });
  });

  it('is the same wherever the network cuts it', () => {
    const text = `HTTP/1.1 102 Processing\r\n\r\n${head}`;
    for (let cut = 0; cut < text.length; cut += 1) {
      const reader = new ResponseHeadReader();
      let interims = 0;
      const onInterim = (): void => void (interims += 1);
      expect(reader.read(Buffer.from(text.slice(0, cut)), onInterim)).toBeUndefined();
      expect(reader.read(Buffer.from(text.slice(cut)), onInterim)).toMatchObject(expected);
      expect(interims).toBe(1);
    }
  });

  it.each([
    'SSH-2.0-x\r\n\r\n',
    'HTTP/2 200\r\n\r\n',
    'HTTP/1.1 2\r\n\r\n',
    'HTTP/1.1 200 OK\r\nno colon\r\n\r\n',
    'HTTP/1.1 200 OK\r\n: x\r\n\r\n',
    `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(70_000)}`,
  ])('is refused when it is %.60j', (text) => {
    expect(() => readWhole(text)).toThrow('the answer');
  });
});
