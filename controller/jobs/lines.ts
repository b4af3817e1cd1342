/** Splits a stream of text into lines. */
const MAX_LINE_LENGTH = 64 * 1024;

/**
 * Yields each line without its line break; the last line need not have one. Empty lines are left out.
 * @throws RangeError when a line is longer than 64 Ki characters
 */
export async function* lines(body: AsyncIterable<Buffer | string>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    rest += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
    const parts = rest.split('\n');
    rest = parts.pop() ?? '';
    if (rest.length > MAX_LINE_LENGTH) throw new RangeError('a line of the answer is too long');
    yield* parts.filter((line) => line !== '');
  }
  if (rest !== '') yield rest;
}
