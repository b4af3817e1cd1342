import { parseHead } from './response-head.ts';

describe("the head of a peer's answer", () => {
  const head = 'HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nETag:"x: y" \r\n\r\n';

  it('is read with the place where the body begins', () => {
    expect(parseHead(Buffer.from(`${head}hello`))).toEqual({
      status: 206,
      headers: { 'content-length': '5', etag: '"x: y"' },
      bodyStart: head.length,
    });
  });

  it('is waited for until it is there to its end, wherever it is cut', () => {
    for (let cut = 0; cut < head.length; cut += 1)
      expect(parseHead(Buffer.from(head.slice(0, cut)))).toBeUndefined();
  });

  it.each([
    'SSH-2.0-x\r\n\r\n',
    'HTTP/2 200\r\n\r\n',
    'HTTP/1.1 2\r\n\r\n',
    'HTTP/1.1 200 OK\r\nno colon\r\n\r\n',
    'HTTP/1.1 200 OK\r\n: x\r\n\r\n',
  ])('is refused as %j', (text) => {
    expect(() => parseHead(Buffer.from(text))).toThrow('the answer');
  });
});
