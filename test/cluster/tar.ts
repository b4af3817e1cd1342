/**
 * Just enough of the tar format (POSIX ustar) to write image layers: deterministic, streamed, of an exact
 * size.
 */

export const tarBlock = 512;

/** The header of a plain file owned by root, dated 1970. `size` in bytes, `mode` as chmod takes it. */
export function tarHeader(path: string, size: number, mode: number): Buffer {
  if (Buffer.byteLength(path) > 100) throw new RangeError(`path too long for a tar header: ${path}`);
  const header = Buffer.alloc(tarBlock);
  const octal = (value: number, offset: number, width: number): void => {
    header.write(`${value.toString(8).padStart(width - 1, '0')}\0`, offset, 'latin1');
  };
  header.write(path, 0);
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  header.write('        ', 148, 'latin1');
  header.write('0', 156, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

/** The padding after a file's content up to the next block. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((tarBlock - (size % tarBlock)) % tarBlock);
}

/** Two empty blocks end an archive. */
export const tarEnd = Buffer.alloc(2 * tarBlock);

/** A whole archive of small files. */
export function tarOf(files: readonly { path: string; content: Buffer; mode: number }[]): Buffer {
  const parts = files.flatMap(({ path, content, mode }) => [
    tarHeader(path, content.length, mode),
    content,
    tarPadding(content.length),
  ]);
  return Buffer.concat([...parts, tarEnd]);
}
