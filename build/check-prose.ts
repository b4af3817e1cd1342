/** `node build/check-prose.ts`: fails when prose is too wide, or points to a missing file or heading. */
import { readFile, stat } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { readMarkdown, wideComments, type Document, type Problem } from './prose.ts';
import { run } from './run.ts';

const ROOT = join(import.meta.dirname, '..');

const files = (await run(['git', 'ls-files', '--cached', '--others', '--exclude-standard'], ROOT))
  .split('\n')
  .filter((file) => file !== '');
const folders = [
  ...new Set(files.filter((file) => file.includes('/')).map((file) => file.split('/')[0] ?? '')),
];

const documents = new Map<string, Document>();
const problems: (Problem & { file: string })[] = [];
for (const file of files) {
  if (!/\.(md|ya?ml|tpl)$/.test(file) || !(await isThere(file))) continue;
  const text = await readFile(join(ROOT, file), 'utf8');
  if (file.endsWith('.md')) documents.set(file, readMarkdown(text, folders));
  else problems.push(...wideComments(text).map((problem) => ({ ...problem, file })));
}
for (const [file, { pointers, tooWide }] of documents) {
  problems.push(...tooWide.map((problem) => ({ ...problem, file })));
  for (const { kind, path, anchor, line } of pointers) {
    const target = kind === 'path' ? path : path === '' ? file : normalize(join(dirname(file), path));
    const name = `${target}${anchor === undefined ? '' : `#${anchor}`}`;
    if (!(await isThere(target))) problems.push({ file, line, message: `${name}: there is no such file` });
    else if (anchor !== undefined && documents.get(target)?.anchors.has(anchor) !== true)
      problems.push({ file, line, message: `${name}: there is no such heading` });
  }
}
for (const { file, line, message } of problems) console.error(`${file}:${line}: ${message}`);
process.exitCode = problems.length === 0 ? 0 : 1;

/** Git also lists what has been deleted and not committed yet. */
async function isThere(path: string): Promise<boolean> {
  return stat(join(ROOT, path)).then(
    () => true,
    () => false,
  );
}
