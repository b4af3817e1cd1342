/** The platforms of the cluster's nodes: those for which the cache has to hold a multi-platform image. */
import type { Node } from '../../platform/kube/resource.ts';
import { formatPlatform, normalisePlatform } from '../../registry/core/platform.ts';

export class NodePlatforms {
  readonly #platformOfNode = new Map<string, string>();

  /** Sorted, for example `['linux/amd64', 'linux/arm64']`. */
  all(): readonly string[] {
    return [...new Set(this.#platformOfNode.values())].sort();
  }

  /**
   * @param platform undefined when the node is gone or has not reported its platform yet
   * @returns whether the set of platforms changed
   */
  setNode(name: string, platform: string | undefined): boolean {
    const before = this.all().join();
    if (platform === undefined) this.#platformOfNode.delete(name);
    else this.#platformOfNode.set(name, platform);
    return this.all().join() !== before;
  }
}

export function platformOf(node: Node): string | undefined {
  const info = node.status?.nodeInfo;
  if (!info?.operatingSystem || !info.architecture) return undefined;
  return formatPlatform(normalisePlatform(info.operatingSystem, info.architecture));
}
