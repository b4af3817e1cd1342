import { ObjectCache } from '../../platform/kube/cache.ts';
import { readyProxies, type ReadyProxies } from './proxies.ts';
import { type PodRecord, podRecords } from './resources.ts';

const RELEASE = 'larder';
const PROXY = { 'app.kubernetes.io/name': 'larder', 'app.kubernetes.io/component': 'proxy' };
const READY = [{ type: 'Ready', status: 'True' }];

function proxiesAmong(
  ...pods: readonly { metadata?: object; labels?: object; ready?: boolean }[]
): ReadyProxies {
  const cache = new ObjectCache<PodRecord>();
  const proxies = readyProxies(cache, RELEASE);
  for (const [index, { metadata, labels, ready = true }] of pods.entries()) {
    const object = podRecords.decode({
      metadata: { name: `p${index}`, namespace: RELEASE, labels: { ...PROXY, ...labels }, ...metadata },
      spec: { nodeName: 'node-1' },
      status: { conditions: ready ? READY : [] },
    });
    if (object !== undefined) cache.apply({ type: 'upsert', object });
  }
  return proxies;
}

const CAPABLE = { 'larder.dev/capabilities': '1' };

describe('the proxy of a node', () => {
  it.each([
    ['of this release serves everything', [{ labels: CAPABLE }], [true, true]],
    ['of an older release serves public names only', [{}], [true, false]],
    ['of an older release beside its successor does no harm', [{}, { labels: CAPABLE }], [true, true]],
    ['that is not ready serves nothing', [{ labels: CAPABLE, ready: false }], [false, false]],
    [
      'that goes serves nothing',
      [{ labels: CAPABLE, metadata: { deletionTimestamp: 'now' } }],
      [false, false],
    ],
    [
      'is none in another namespace',
      [{ labels: CAPABLE, metadata: { namespace: 'team-a' } }],
      [false, false],
    ],
  ])('%s', (_, pods, [works, servesTenants]) => {
    const proxies = proxiesAmong(...pods);
    expect(proxies.proxyWorks('node-1')).toBe(works);
    expect(proxies.proxyServesTenants('node-1')).toBe(servesTenants);
    expect(proxies.proxyWorks('node-2')).toBe(false);
  });
});
