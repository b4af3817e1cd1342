/** Renders the chart with helm, without a cluster. */
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { run } from '../cluster/command.ts';
import { buildTool } from '../cluster/tools.ts';
import { CHART, NAMESPACE, RELEASE } from './install.ts';

/** The manifests for these values, as text. @throws {CommandError} when helm refuses the values */
export async function template(values: object = {}, namespace = NAMESPACE): Promise<string> {
  const helm = join(await buildTool('helm'), 'helm');
  const args = [helm, 'template', RELEASE, CHART, '--namespace', namespace, '--values', '-'];
  return (await run(args, { stdin: JSON.stringify(values) })).stdout;
}

/** The same as objects; the caller declares their type. */
export async function render<T>(values?: object, namespace?: string): Promise<T[]> {
  const documents = parseAllDocuments(await template(values, namespace));
  return documents.flatMap((document) => (document.toJS() as T | null) ?? []);
}
