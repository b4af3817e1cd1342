import { ProxyReadiness, proxyRecords, type ProxyRecord } from './proxy-readiness.ts';

function proxy(name: string, node: string, ready: boolean, metadata: object = {}): ProxyRecord {
  const record = proxyRecords.decode({
    metadata: { name, namespace: 'larder', ...metadata },
    spec: { nodeName: node },
    status: { conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
  });
  if (!record) throw new Error('not decoded');
  return record;
}

describe('the proxies of the cluster', () => {
  it('are counted by node, with those that are ready', () => {
    const proxies = new ProxyReadiness();
    proxies.change(undefined, proxy('a', 'node-1', true));
    proxies.change(undefined, proxy('b', 'node-2', false));
    expect(proxies.counts()).toEqual({ all: 2, ready: 1 });
    expect(['node-1', 'node-2', 'node-3'].map(proxies.works)).toEqual([true, false, false]);
  });

  it('are counted once a node while a new one takes over', () => {
    const proxies = new ProxyReadiness();
    const [old, next] = [proxy('old', 'node-1', true), proxy('new', 'node-1', false)];
    proxies.change(undefined, old);
    proxies.change(undefined, next);
    expect(proxies.counts()).toEqual({ all: 1, ready: 1 });
    proxies.change(next, proxy('new', 'node-1', true));
    proxies.change(old, proxy('old', 'node-1', true, { deletionTimestamp: '2026-11-21T03:00:00Z' }));
    expect(proxies.counts()).toEqual({ all: 1, ready: 1 });
    proxies.change(old, undefined);
    expect(proxies.works('node-1')).toBe(true);
    proxies.change(next, undefined);
    expect(proxies.counts()).toEqual({ all: 0, ready: 0 });
  });

  it('that are not scheduled yet are none', () => {
    const proxies = new ProxyReadiness();
    proxies.change(undefined, proxyRecords.decode({ metadata: { name: 'x' } }));
    expect(proxies.counts()).toEqual({ all: 0, ready: 0 });
  });

  it('know capabilities when every one of them says so, ready or not', () => {
    const labels = { labels: { 'larder.dev/capabilities': '1' } };
    const proxies = new ProxyReadiness();
    expect(proxies.allKnowCapabilities()).toBe(true);
    const old = proxy('old', 'node-1', false);
    proxies.change(undefined, old);
    proxies.change(undefined, proxy('new', 'node-2', true, labels));
    expect(proxies.allKnowCapabilities()).toBe(false);
    proxies.change(old, undefined);
    expect(proxies.allKnowCapabilities()).toBe(true);
    proxies.change(undefined, proxyRecords.decode({ metadata: { name: 'x' } }));
    expect(proxies.allKnowCapabilities()).toBe(false);
  });
});
