import { formatBytes } from './format-bytes.ts';

it.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1 KiB'],
  [4_404_019, '4.2 MiB'],
  [73_400_320, '70 MiB'],
  [1_610_612_736, '1.5 GiB'],
  [10_711_000_000, '10 GiB'],
  [2 ** 62, '4096 PiB'],
])('%d bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});
