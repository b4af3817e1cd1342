/**
 * A client that takes a body as fast as it comes and throws it away, so that it costs both sides of a
 * comparison the same little.
 */
import { connect } from 'node:net';

export interface Drained {
  readonly status: number;
  /** Bytes of the body. */
  readonly bytes: number;
  /** From the request to its first byte of body, and to the last. */
  readonly firstByteMs: number;
  readonly totalMs: number;
}

const BUFFER_BYTES = 512 * 1024;
const HEAD_END = '\r\n\r\n';

/** @throws Error when the answer has no Content-Length, or is shorter */
export function drain(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Drained> {
  const { hostname, port, host, pathname } = new URL(url);
  const { promise, resolve, reject } = Promise.withResolvers<Drained>();
  let startedAt = 0;
  let firstByteMs = 0;
  let head = '';
  let status: number | undefined;
  let length = 0;
  let bytes = 0;
  const take = (size: number, buffer: Uint8Array): boolean => {
    let body = size;
    if (status === undefined) {
      const before = head.length;
      head += Buffer.from(buffer.buffer, buffer.byteOffset, size).toString('latin1');
      const end = head.indexOf(HEAD_END);
      if (end < 0) return true;
      body = size - (end + HEAD_END.length - before);
      status = Number(head.slice(9, 12));
      length = Number(/\r\ncontent-length: *(\d+)/i.exec(head.slice(0, end))?.[1] ?? NaN);
      if (Number.isNaN(length)) socket.destroy(new Error(`${url}: no Content-Length: ${head.slice(0, end)}`));
    }
    if (body > 0 && bytes === 0) firstByteMs = performance.now() - startedAt;
    bytes += body;
    if (bytes >= length) {
      resolve({ status, bytes, firstByteMs, totalMs: performance.now() - startedAt });
      socket.destroy();
    }
    return true;
  };
  const socket = connect({
    host: hostname,
    port: Number(port),
    onread: { buffer: Buffer.allocUnsafeSlow(BUFFER_BYTES), callback: take },
  });
  socket.once('connect', () => {
    startedAt = performance.now();
    const lines = Object.entries({ host, connection: 'close', ...headers }).map(
      ([name, value]) => `${name}: ${value}\r\n`,
    );
    socket.write(`GET ${pathname} HTTP/1.1\r\n${lines.join('')}\r\n`);
  });
  socket.once('error', reject);
  socket.once('close', () => {
    reject(new Error(`${url}: ${bytes} of ${length} bytes, status ${status ?? 'none'}`));
  });
  return promise;
}
