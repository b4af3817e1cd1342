import { ProgressLine } from './progress-line.ts';

describe('a progress line', () => {
  let written = '';
  let now = 0;
  const stream = (more: object): { write(text: string): void } => ({
    ...more,
    write: (text) => {
      written += text;
    },
  });

  beforeEach(() => {
    written = '';
    now = 0;
  });

  it('is replaced in place on a terminal, never wider than it, and taken away at the end', () => {
    const line = new ProgressLine(stream({ isTTY: true, columns: 11 }), '  ', () => now);
    line.show('1 %');
    line.show('a long text that would wrap');
    line.end();
    expect(written).toBe('\r\x1b[K  1 %\r\x1b[K  a long t\r\x1b[K');
  });

  it('is printed every 20 seconds elsewhere', () => {
    const line = new ProgressLine(stream({}), '', () => now);
    for (now = 0; now <= 45_000; now += 1_000) line.show(`${now / 1_000} s`);
    line.end();
    expect(written).toBe('0 s\n20 s\n40 s\n');
  });

  it('takes nothing away when it has shown nothing', () => {
    new ProgressLine(stream({ isTTY: true })).end();
    expect(written).toBe('');
  });
});
