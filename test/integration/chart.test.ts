/** The chart as helm renders it: stable, least rights, and in the words that the processes declare. */
import { join } from 'node:path';
import { controllerConfig } from '../../controller/config.ts';
import { uninstallConfig } from '../../controller/uninstall/config.ts';
import { copierConfig } from '../../copier/config.ts';
import { proxyConfig } from '../../proxy/config.ts';
import { CAPABILITIES_LABEL } from '../../api/names.ts';
import { parseRules, RULES_KEY } from '../../api/rules.ts';
import type { ConfigDeclaration } from '../../platform/config.ts';
import { storeConfig } from '../../store/config.ts';
import { webhookConfig } from '../../webhook/config.ts';
import { run } from '../cluster/command.ts';
import { buildTool } from '../cluster/tools.ts';
import { CHART } from '../larder/install.ts';
import { render, template } from '../larder/render.ts';

interface Container {
  readonly name: string;
  readonly command: readonly string[];
  readonly env: readonly { readonly name: string; readonly value?: string }[];
  readonly ports?: readonly object[];
  readonly securityContext: object;
  readonly resources: { readonly requests?: object; readonly limits?: object };
}

interface Rendered {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly annotations?: Record<string, string> };
  readonly data?: Readonly<Record<string, string>>;
  readonly rules?: readonly { readonly resources?: readonly string[]; readonly verbs: readonly string[] }[];
  readonly webhooks?: readonly object[];
  readonly spec?: {
    readonly persistentVolumeClaimRetentionPolicy?: { readonly whenDeleted: string };
    readonly selector?: { readonly matchLabels: Readonly<Record<string, string>> };
    readonly template?: {
      readonly metadata: {
        readonly labels: Readonly<Record<string, string>>;
        readonly annotations?: Readonly<Record<string, string>>;
      };
      readonly spec: {
        readonly containers: readonly Container[];
        readonly volumes?: readonly { readonly name: string }[];
        readonly securityContext: object;
        readonly automountServiceAccountToken?: boolean;
      };
    };
  };
}

let helm: string;
beforeAll(async () => {
  helm = join(await buildTool('helm'), 'helm');
}, 300_000);

function containers(objects: readonly Rendered[]): Container[] {
  return objects.flatMap(({ spec }) => spec?.template?.spec.containers ?? []);
}

describe('the chart', () => {
  it('renders the same every time', async () => {
    expect(await template()).toBe(await template());
  });

  it('passes helm lint', async () => {
    await expect(run([helm, 'lint', '--strict', CHART])).resolves.toBeDefined();
  });

  it('gives every process only settings that it declares, and all that it cannot do without', async () => {
    const declarations: Record<string, ConfigDeclaration> = {
      webhook: webhookConfig,
      proxy: proxyConfig,
      copier: copierConfig,
      controller: controllerConfig,
      store: storeConfig,
      uninstall: uninstallConfig,
    };
    /** Every process is told these, whether or not it asks. */
    const common = ['LARDER_FULLNAME', 'LARDER_NAMESPACE', 'LARDER_LOG_LEVEL'];
    /** The C library's own. */
    const runtime = ['MALLOC_TRIM_THRESHOLD_'];
    const processes = containers(await render<Rendered>());
    expect(processes.map(({ name }) => name).sort()).toEqual(Object.keys(declarations).sort());
    for (const { name, env } of processes) {
      const given = env.map((variable) => variable.name);
      const settings = Object.values(declarations[name] ?? {});
      const declared = settings.map((setting) => setting.env);
      const needed = settings.filter((setting) => !setting.schema.safeParse(setting.default).success);
      const known = [...declared, ...common, ...runtime];
      expect({ name, unknown: given.filter((each) => !known.includes(each)) }).toEqual({
        name,
        unknown: [],
      });
      expect({
        name,
        missing: needed.map((setting) => setting.env).filter((each) => !given.includes(each)),
      }).toEqual({
        name,
        missing: [],
      });
    }
  });

  it('confines every container, and says what it takes', async () => {
    for (const { spec } of await render<Rendered>()) {
      if (spec?.template === undefined) continue;
      expect(spec.template.spec.securityContext).toMatchObject({
        runAsNonRoot: true,
        runAsUser: 65532,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      for (const { securityContext, resources } of spec.template.spec.containers) {
        expect(securityContext).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
        expect(
          [resources.requests, resources.limits].every((amounts) => amounts && 'memory' in amounts),
        ).toBe(true);
      }
    }
  });

  it('lets nobody but the copier read Secrets of other namespaces, and the copier only one at a time', async () => {
    const roles = (await render<Rendered>()).filter(({ kind }) => kind === 'ClusterRole');
    const onSecrets = roles.flatMap(({ metadata, rules = [] }) =>
      rules
        .filter(({ resources }) => resources?.some((resource) => ['secrets', '*'].includes(resource)))
        .map(({ verbs }) => ({ role: metadata.name, verbs })),
    );
    expect(onSecrets).toEqual([{ role: 'larder-copier', verbs: ['get'] }]);
  });

  it('gives the proxies no access to the Kubernetes API, and declares no port of theirs', async () => {
    const objects = await render<Rendered>();
    const proxy = objects.find(({ kind }) => kind === 'DaemonSet')?.spec?.template?.spec;
    expect(proxy?.automountServiceAccountToken).toBe(false);
    expect(proxy?.containers[0]?.ports).toBeUndefined();
    expect(
      objects.filter(({ kind, metadata }) => kind.endsWith('Binding') && metadata.name.endsWith('-proxy')),
    ).toEqual([]);
  });

  it('labels the proxies as those that know capabilities, but does not select them by that', async () => {
    const podAnnotations = { team: 'platform' };
    const objects = await render<Rendered>({ proxy: { podAnnotations } });
    const proxies = objects.find(({ kind }) => kind === 'DaemonSet')?.spec;
    const { labels, annotations } = proxies?.template?.metadata ?? {};
    const selected = proxies?.selector?.matchLabels;
    expect(labels).toEqual({ ...selected, [CAPABILITIES_LABEL]: '1' });
    // A selector of a DaemonSet cannot be changed, so an upgrade would fail.
    expect(Object.keys(selected ?? {})).not.toContain(CAPABILITIES_LABEL);
    expect(Object.keys(annotations ?? {}).sort()).toEqual(['checksum/upstreams', 'team']);
  });

  it.each(['proxy', 'copier'])('tells the %s of the HTTP proxy of the site', async (name) => {
    const extraEnv = [
      { name: 'HTTPS_PROXY', value: 'http://proxy.example.com:3128' },
      { name: 'NO_PROXY', value: '.example.com' },
    ];
    const env = containers(await render<Rendered>({ [name]: { extraEnv } })).find(
      (each) => each.name === name,
    )?.env;
    expect(env).toEqual(expect.arrayContaining(extraEnv));
  });

  it('never writes the caBundle that the controller keeps', async () => {
    expect(await template()).not.toMatch(/^\s*caBundle:/m);
  });

  it('lets cert-manager make the certificate of the webhook when it is asked to', async () => {
    const issuerRef = { kind: 'ClusterIssuer', name: 'internal' };
    const objects = await render<Rendered>({ certificates: { certManager: { enabled: true, issuerRef } } });
    expect(objects.find(({ kind }) => kind === 'Certificate')?.spec).toEqual({
      secretName: 'larder-webhook-tls',
      dnsNames: ['larder-webhook.larder.svc'],
      issuerRef,
    });
    expect(objects.find(({ kind }) => kind === 'MutatingWebhookConfiguration')?.metadata.annotations).toEqual(
      {
        'cert-manager.io/inject-ca-from': 'larder/larder-webhook',
      },
    );
    const env = containers(objects).flatMap((container) => container.env);
    expect(env.find(({ name }) => name === 'LARDER_OWN_WEBHOOK_CERTIFICATE')?.value).toBe('false');
    expect((await render<Rendered>()).some(({ kind }) => kind === 'Certificate')).toBe(false);
  });

  it("spares the API server: Ignore, at most 3 s, no side effects, and no call for other namespaces' pods", async () => {
    const [webhook] =
      (await render<Rendered>()).find(({ kind }) => kind === 'MutatingWebhookConfiguration')?.webhooks ?? [];
    expect(webhook).toMatchObject({
      failurePolicy: 'Ignore',
      timeoutSeconds: 3,
      sideEffects: 'None',
      reinvocationPolicy: 'IfNeeded',
      namespaceSelector: {
        matchExpressions: [
          { key: 'larder.dev/cache', operator: 'In', values: ['enabled'] },
          { key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: ['kube-system', 'larder'] },
        ],
      },
    });
  });

  it('hands the rules on as the processes read them', async () => {
    const rulesOf = async (values: object) =>
      parseRules(
        (await render<Rendered>(values)).find(({ metadata }) => metadata.name === 'larder-rules')?.data?.[
          RULES_KEY
        ] ?? '',
      );
    expect(await rulesOf({})).toMatchObject({
      mode: 'optIn',
      exclude: { images: [], namespaces: ['kube-system', 'larder'] },
      proxyNodeSelector: { 'kubernetes.io/os': 'linux' },
    });
    const rules = { include: { images: ['ghcr.io/*'] }, exclude: { namespaces: ['prod-*'] } };
    expect(await rulesOf({ mode: 'optOut', rules, minReadyProxiesPercent: 80 })).toMatchObject({
      mode: 'optOut',
      include: { images: ['ghcr.io/*'], namespaces: ['*'] },
      exclude: { namespaces: ['kube-system', 'larder', 'prod-*'] },
      minReadyProxiesPercent: 80,
    });
  });

  it('leaves the definitions and what is in them when it is uninstalled, unless it is asked not to', async () => {
    const policy = async (values: object): Promise<unknown> =>
      (await render<Rendered>(values)).find(({ kind }) => kind === 'CustomResourceDefinition')?.metadata
        .annotations;
    expect(await policy({})).toEqual({ 'helm.sh/resource-policy': 'keep' });
    expect(await policy({ crds: { keep: false } })).toBeUndefined();
  });

  it('leaves the claim of the store when it is uninstalled, unless it is asked not to', async () => {
    const policy = async (values: object): Promise<unknown> =>
      (await render<Rendered>(values)).find(({ kind }) => kind === 'StatefulSet')?.spec
        ?.persistentVolumeClaimRetentionPolicy?.whenDeleted;
    expect(await policy({})).toBe('Retain');
    expect(await policy({ store: { persistence: { keep: false } } })).toBe('Delete');
  });

  it('lets the controller change pods only for rescue, and nodes only for the startup taint, as the job before an uninstall', async () => {
    const patched = async (process: string, values: object): Promise<readonly string[]> => {
      const roles = (await render<Rendered>(values)).filter(
        ({ kind, metadata }) => kind === 'ClusterRole' && metadata.name === `larder-${process}`,
      );
      return roles
        .flatMap(({ rules = [] }) => rules)
        .filter(
          ({ verbs }) => verbs.includes('patch') && !verbs.includes('create') && !verbs.includes('update'),
        )
        .flatMap(({ resources = [] }) => resources)
        .filter((resource) => ['pods', 'nodes'].includes(resource));
    };
    const startupTaint = { proxy: { startupTaint: { enabled: true } } };
    expect(await patched('controller', {})).toEqual(['pods']);
    expect(await patched('controller', { rescue: { enabled: false } })).toEqual([]);
    expect(await patched('controller', startupTaint)).toEqual(['pods', 'nodes']);
    expect(await patched('uninstall', {})).toEqual(['pods']);
    expect(await patched('uninstall', startupTaint)).toEqual(['pods', 'nodes']);
  });

  it('takes a registry that exists in place of its own store', async () => {
    const external = {
      url: 'https://harbor.example.com/larder',
      readerSecret: 'reader',
      writerSecret: 'writer',
    };
    const objects = await render<Rendered>({ store: { external } });
    expect(objects.some(({ kind }) => kind === 'StatefulSet')).toBe(false);
    const env = containers(objects).flatMap((container) => container.env);
    const value = (name: string): unknown => env.find((variable) => variable.name === name)?.value;
    expect(value('LARDER_STORE_WRITER_URL')).toBe(external.url);
    expect(value('LARDER_OWN_STORE')).toBe('false');
  });

  it('lets processes read authorities from Secrets and ConfigMaps, and nothing else of them', async () => {
    const upstreams = [
      { host: 'open.example' },
      { host: 'a.example', caFrom: { secret: { name: 'corp' } } },
      { host: 'b.example', caFrom: { configMap: { name: 'lab', key: 'root.pem' } } },
    ];
    const objects = await render<Rendered>({ upstreams });
    const settings = objects.find(({ metadata }) => metadata.name === 'larder-upstreams');
    expect(JSON.parse(settings?.data?.['upstreams.json'] ?? '')).toEqual([
      { host: 'open.example' },
      { host: 'a.example', caFile: '/etc/larder/upstream-ca/1.crt' },
      { host: 'b.example', caFile: '/etc/larder/upstream-ca/2.crt' },
    ]);
    const volumes = objects.flatMap(({ spec }) => spec?.template?.spec.volumes ?? []);
    const sources = [
      { secret: { name: 'corp', optional: true, items: [{ key: 'ca.crt', path: '1.crt' }] } },
      { configMap: { name: 'lab', optional: true, items: [{ key: 'root.pem', path: '2.crt' }] } },
    ];
    expect(volumes.filter(({ name }) => name === 'upstream-ca')).toEqual(
      Array(2).fill({ name: 'upstream-ca', projected: { sources } }),
    );
  });

  it.each([
    ['a port below 1024', { proxy: { port: 80 } }],
    ['an upstream without a host', { upstreams: [{ plainHttp: true }] }],
    ['an authority from nowhere', { upstreams: [{ host: 'a', caFrom: {} }] }],
    ['cert-manager without an issuer', { certificates: { certManager: { enabled: true } } }],
    ['a misspelt value', { proxi: {} }],
    ['a webhook that may hold up the API server', { webhook: { timeoutSeconds: 10 } }],
  ])('refuses %s', async (_, values) => {
    await expect(template(values)).rejects.toThrow();
  });
});
