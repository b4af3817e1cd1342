/** Checks documents and comments in YAML files: their width, and that what they point to exists. */

/** One thing to mend; `line` counts from 1. */
export interface Problem {
  readonly line: number;
  readonly message: string;
}

/** A place that a document points to. */
export interface Pointer {
  readonly line: number;
  /** Relative to the document's folder (`link`) or to the checkout (`path`); "" is the document itself. */
  readonly path: string;
  /** The anchor of a heading, without `#`. */
  readonly anchor?: string;
  /** A link, or a path of the checkout that stands between backquotes. */
  readonly kind: 'link' | 'path';
}

export interface Document {
  /** The anchors of its headings, as GitHub makes them. */
  readonly anchors: ReadonlySet<string>;
  readonly pointers: readonly Pointer[];
  readonly tooWide: readonly Problem[];
}

/** Columns that prose may take. */
export const WIDTH = 100;

const FENCE = /^ *(`{3,}|~{3,})/;
const HEADING = /^#{1,6} +(.*?)[ #]*$/;
const LINK = /\]\(([^)\s]*)\)/g;
const CODE = /`([^`]*)`/g;
const EXTERNAL = /^[a-z][a-z0-9+.-]*:/i;

/**
 * Reads a Markdown document. Tables, code and the addresses of links may be wider than prose.
 * @param folders of the checkout: a path between backquotes counts as a pointer when it begins with one of
 * them
 */
export function readMarkdown(text: string, folders: readonly string[]): Document {
  const slugs = new Map<string, number>();
  const anchors = new Set<string>();
  const pointers: Pointer[] = [];
  const tooWide: Problem[] = [];
  for (const { content, line } of proseLines(text)) {
    const heading = HEADING.exec(content)?.[1];
    if (heading !== undefined) {
      const slug = headingSlug(heading);
      const earlier = slugs.get(slug) ?? 0;
      slugs.set(slug, earlier + 1);
      anchors.add(earlier === 0 ? slug : `${slug}-${earlier}`);
    }
    pointers.push(...linksIn(content, line), ...pathsIn(content, line, folders));
    if (!content.startsWith('|') && isTooWide(content.replaceAll(LINK, ']()')))
      tooWide.push(wide(line, content));
  }
  return { anchors, pointers, tooWide };
}

/** The anchor that GitHub gives to a heading; the site of the documents is built with the same. */
export function headingSlug(heading: string): string {
  return heading
    .replaceAll(LINK, ']')
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\p{M}_\- ]/gu, '')
    .replaceAll(' ', '-');
}

/** Comments of a YAML file, or of a template of one, that are wider than prose may be. */
export function wideComments(text: string): Problem[] {
  return text.split('\n').flatMap((content, index) => {
    const isComment = /^\s*(#|\{\{-? *\/\*)/.test(content) || / # /.test(content);
    const isTemplate = content.includes('{{') && !content.includes('/*');
    return isComment && !isTemplate && isTooWide(content) ? [wide(index + 1, content)] : [];
  });
}

/** Lines outside of fenced code and of code by indentation after an empty line. */
function* proseLines(text: string): Generator<{ content: string; line: number }> {
  let fence: string | undefined;
  let isCode = false;
  let afterEmpty = true;
  for (const [index, content] of text.split('\n').entries()) {
    const mark = FENCE.exec(content)?.[1];
    if (fence !== undefined) {
      if (mark?.startsWith(fence) === true) fence = undefined;
      continue;
    }
    if (mark !== undefined) {
      fence = mark;
      continue;
    }
    const isIndented = content.startsWith('    ');
    isCode = isIndented && (isCode || afterEmpty);
    afterEmpty = content.trim() === '' || HEADING.test(content) || (!isIndented && content.endsWith(':'));
    if (!isCode) yield { content, line: index + 1 };
  }
}

function linksIn(content: string, line: number): Pointer[] {
  const text = content.replaceAll(CODE, '``');
  return [...text.matchAll(LINK)].flatMap(([, target = '']): Pointer[] => {
    if (EXTERNAL.test(target)) return [];
    const [path = '', anchor] = target.split('#', 2);
    return [{ line, path, kind: 'link', ...(anchor === undefined ? {} : { anchor }) }];
  });
}

function pathsIn(content: string, line: number, folders: readonly string[]): Pointer[] {
  return [...content.matchAll(CODE)].flatMap(([, code = '']) =>
    folders.some((folder) => code.startsWith(`${folder}/`)) && /^[\w./{},-]+$/.test(code)
      ? alternatives(code).map((path): Pointer => ({ line, path, kind: 'path' }))
      : [],
  );
}

/** `a/{b,c}.ts` means `a/b.ts` and `a/c.ts`. */
function alternatives(path: string): string[] {
  const braces = /^(.*?)\{([^{}]*)\}(.*)$/.exec(path);
  if (braces === null) return [path];
  const [, before = '', inside = '', after = ''] = braces;
  return inside.split(',').flatMap((part) => alternatives(before + part + after));
}

/** A line that has no space to break it at cannot be narrower. */
function isTooWide(content: string): boolean {
  const text = content.trimEnd();
  return text.length > WIDTH && /\S\s/.test(text.slice(text.search(/[^\s#>*-]/)));
}

function wide(line: number, content: string): Problem {
  return { line, message: `${content.trimEnd().length} columns; prose wraps at ${WIDTH}` };
}
