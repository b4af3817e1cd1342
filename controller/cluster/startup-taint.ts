/**
 * The startup taint, which keeps pods off a node until its proxy is ready: whether a node has it, and how to
 * remove it.
 */
import { STARTUP_TAINT } from '../../api/names.ts';
import type { Patch } from '../../platform/kube/client.ts';
import type { Node } from '../../platform/kube/resource.ts';

export function hasStartupTaint({ spec }: Node): boolean {
  return spec?.taints?.some(({ key }) => key === STARTUP_TAINT) ?? false;
}

/**
 * Taints are patched as a whole list, so the resourceVersion makes the server answer 409 if somebody else
 * changed the node meanwhile.
 */
export function startupTaintOff({ metadata, spec }: Node): Patch {
  const taints = (spec?.taints ?? []).filter(({ key }) => key !== STARTUP_TAINT);
  return {
    type: 'merge',
    body: { metadata: { resourceVersion: metadata?.resourceVersion }, spec: { taints } },
  };
}
