/** Rules and dashboard name metrics and labels that the processes really export. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Metric } from 'prom-client';
import { parse } from 'yaml';
import { controllerMetrics } from '../../controller/metrics.ts';
import { copierMetrics } from '../../copier/metrics.ts';
import { Metrics } from '../../platform/metrics.ts';
import { proxyMetrics } from '../../proxy/metrics.ts';
import { observeSupervisor, supervisorEvents } from '../../store/metrics.ts';
import { admissionMetrics } from '../../webhook/admission-metrics.ts';
import { CHART } from '../larder/install.ts';
import { render } from '../larder/render.ts';

interface Dashboard {
  readonly panels: readonly {
    readonly title: string;
    readonly targets?: readonly { readonly expr: string }[];
  }[];
}
interface Rules {
  readonly groups: readonly {
    readonly rules: readonly { readonly alert?: string; readonly record?: string; readonly expr: string }[];
  }[];
}

const read = (file: string): string => readFileSync(join(CHART, 'files/monitoring', file), 'utf8');
const dashboard = JSON.parse(read('dashboard.json')) as Dashboard;
const rules = (parse(read('rules.yaml')) as Rules).groups.flatMap((group) => group.rules);
const recorded = rules.flatMap(({ record }) => record ?? []);

/** Name → labels, of all processes. */
function exported(): Map<string, readonly string[]> {
  const metrics = new Metrics('test');
  controllerMetrics(metrics);
  copierMetrics(metrics, { downloads: { size: 0 }, spool: { reserved: 0 } });
  proxyMetrics(metrics, { get: () => [] });
  supervisorEvents(metrics);
  observeSupervisor(metrics, { ready: () => true, status: () => Promise.reject(new Error('not asked')) });
  admissionMetrics(metrics, () => true);
  const names = metrics.registry.getMetricsAsArray().flatMap((metric) => {
    const { name, labelNames } = metric as unknown as Metric & { name: string; labelNames: string[] };
    return ['', '_bucket', '_sum', '_count'].map((suffix) => [name + suffix, labelNames] as const);
  });
  return new Map(names);
}

/** What of an expression cannot be answered. */
function unknownIn(expr: string, known: ReadonlyMap<string, readonly string[]>): string[] {
  return [...expr.matchAll(/\b(larder[_:][a-z0-9_:]+)(?:\{([^}]*)\})?/g)].flatMap(
    ([, name = '', selector = '']) => {
      if (recorded.includes(name)) return [];
      const labels = known.get(name);
      if (labels === undefined) return [name];
      const used = [...selector.matchAll(/([a-z_]+)\s*[=!]/g)].map(([, label = '']) => label);
      return used.filter((label) => !labels.includes(label)).map((label) => `${name}{${label}}`);
    },
  );
}

/** Labels that an aggregation keeps. */
function grouping(expr: string): string[] {
  return [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, labels = '']) => labels.split(/,\s*/));
}

const expressions = [
  ...dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr] as const)),
  ...rules.map(({ alert, record, expr }) => [alert ?? record ?? '', expr] as const),
];

it('there is something to look at', () => {
  expect(expressions.length).toBeGreaterThan(30);
  expect(rules.filter(({ alert }) => alert !== undefined).length).toBeGreaterThan(5);
});

it.each(expressions)('%s asks for what there is: %s', (_, expr) => {
  const known = exported();
  expect(expr).toMatch(/larder[_:]/);
  expect(unknownIn(expr, known)).toEqual([]);
  const labels = new Set(['le', ...[...known.values()].flat()]);
  expect(grouping(expr).filter((label) => !labels.has(label))).toEqual([]);
});

it('the page about metrics speaks of those that there are', () => {
  const page = readFileSync(join(CHART, '../../../docs/metrics.md'), 'utf8');
  const known = new Set([...exported().keys(), ...recorded]);
  const named = [...page.matchAll(/\blarder[_:][a-z0-9_:]*[a-z0-9]/g)].map(([name]) => name);
  expect(named.length).toBeGreaterThan(40);
  expect(named.filter((name) => !known.has(name))).toEqual([]);
});

interface PodMonitor {
  readonly podMetricsEndpoints: readonly {
    readonly relabelings?: readonly {
      readonly sourceLabels: readonly string[];
      readonly regex: string;
      readonly targetLabel: string;
      readonly replacement: string;
    }[];
  }[];
}

interface Rendered {
  readonly kind: string;
  readonly spec?: Rules & PodMonitor;
}

it.each([
  ['10.77.0.2', '10.77.0.2:7440'],
  ['fd00:77::2', '[fd00:77::2]:7440'],
])(
  'a proxy, which declares no port, is scraped on its node at %s',
  async (ip, address) => {
    const endpoints = (await render<Rendered>({ monitoring: { podMonitor: true } })).flatMap(
      ({ kind, spec }) => (kind === 'PodMonitor' && spec?.podMetricsEndpoints) || [],
    );
    const relabelings = endpoints.flatMap(({ relabelings: found }) => found ?? []);
    expect(new Set(relabelings.flatMap(({ sourceLabels }) => sourceLabels))).toEqual(
      new Set(['__meta_kubernetes_pod_ip']),
    );
    // As Prometheus does: the whole value has to match, and a later rule overrides.
    const labels: Record<string, string> = {};
    for (const { regex, targetLabel, replacement } of relabelings) {
      const whole = new RegExp(`^(?:${regex})$`);
      if (whole.test(ip)) labels[targetLabel] = ip.replace(whole, replacement);
    }
    expect(labels).toEqual({ __address__: address });
  },
  300_000,
);

it('the chart renders them for the operator when it is asked to, and not otherwise', async () => {
  const all = await render<Rendered>({
    monitoring: { podMonitor: true, prometheusRule: true, dashboard: true },
  });
  const kinds = all.map(({ kind }) => kind);
  expect(kinds.filter((kind) => kind === 'PodMonitor')).toHaveLength(2);
  const rule = all.find(({ kind }) => kind === 'PrometheusRule');
  expect(rule?.spec?.groups.flatMap((group) => group.rules)).toEqual(rules);
  const none = (await render<Rendered>({ monitoring: {} })).map(({ kind }) => kind);
  expect(none).not.toContain('PodMonitor');
  expect(none).not.toContain('PrometheusRule');
}, 300_000);
