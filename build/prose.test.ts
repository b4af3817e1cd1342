import { headingSlug, readMarkdown, wideComments } from './prose.ts';

const LONG = 'word '.repeat(21).trim();

it('finds prose that is too wide, and says in which line', () => {
  const { tooWide } = readMarkdown(`# A title\n\nshort\n${LONG}\n- ${LONG}\n`, []);
  expect(tooWide).toEqual([
    { line: 4, message: '104 columns; prose wraps at 100' },
    { line: 5, message: '106 columns; prose wraps at 100' },
  ]);
});

it('leaves tables, code, addresses and what cannot be broken as wide as they are', () => {
  const text = [
    `| ${LONG} |`,
    '```',
    LONG,
    '```',
    '',
    `    ${LONG}`,
    '',
    `Read [this](https://example.com/${'x'.repeat(100)}) first.`,
    'x'.repeat(120),
  ];
  expect(readMarkdown(text.join('\n'), []).tooWide).toEqual([]);
});

it('finds links to files and headings, but none that leave the checkout', () => {
  const text = 'See [a](a.md#one-two), [b](#here), [c](../c) and [d](https://example.com).\n`[e](e.md)`';
  expect(readMarkdown(text, []).pointers).toEqual([
    { line: 1, kind: 'link', path: 'a.md', anchor: 'one-two' },
    { line: 1, kind: 'link', path: '', anchor: 'here' },
    { line: 1, kind: 'link', path: '../c' },
  ]);
});

it('takes a path between backquotes for a pointer when it begins with a folder of the checkout', () => {
  const text = '`proxy/{a,b}.ts`, `etc/passwd`, `proxy/<name>` and `proxy`';
  expect(readMarkdown(text, ['proxy']).pointers).toEqual([
    { line: 1, kind: 'path', path: 'proxy/a.ts' },
    { line: 1, kind: 'path', path: 'proxy/b.ts' },
  ]);
});

it('gives headings the anchors that GitHub gives them', () => {
  const text = '## What is `cached`?\n## Twice\n```\n# no heading\n```\n## Twice\n';
  expect([...readMarkdown(text, []).anchors]).toEqual(['what-is-cached', 'twice', 'twice-1']);
  expect(headingSlug("Install it: EKS, GKE & [AKS](aks.md) – don't")).toBe('install-it-eks-gke--aks--dont');
});

it('finds wide comments of YAML files, beside values too, and leaves templates alone', () => {
  const text = [
    `# ${LONG}`,
    `a: "${LONG}"`,
    `  b: 1  # ${LONG}`,
    `{{ if x }} # ${LONG}`,
    `{{- /* ${LONG} */}}`,
  ];
  expect(wideComments(text.join('\n')).map(({ line }) => line)).toEqual([1, 3, 5]);
});
