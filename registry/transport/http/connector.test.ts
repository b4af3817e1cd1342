import { once } from 'node:events';
import { createServer as createPlainServer } from 'node:http';
import { createServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { createCa, issueServerCertificate } from '../../../platform/x509.ts';
import { noAuthentication } from '../auth/authenticator.ts';
import { type ConnectionPolicy, type ConnectionPolicyOf, upstreamPolicies } from './connection-policy.ts';
import { createConnections } from './connector.ts';
import { outboundProxies } from './outbound-proxy.ts';
import { Transport } from '../transport.ts';
import type { UpstreamSettings } from '../settings/upstream-settings.ts';

describe('TLS', () => {
  it('is spoken to the registry itself through a proxy of the site, with the CA of its settings', async () => {
    const asked: string[] = [];
    const proxy = createPlainServer().on('connect', (request, socket) => {
      asked.push(request.url ?? '');
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      const registry = connect(port, '127.0.0.1');
      socket.pipe(registry).pipe(socket);
      for (const each of [socket, registry]) each.on('error', () => undefined);
    });
    await once(proxy.listen(0, '127.0.0.1'), 'listening');
    const { port: proxyPort } = proxy.address() as AddressInfo;
    const proxies = outboundProxies({
      HTTPS_PROXY: `http://127.0.0.1:${proxyPort}`,
      NO_PROXY: 'intern.test',
    });
    const connections = createConnections(() => ({ ca }), { connectMs: 1000, proxies });
    const transport = new Transport(connections, { headMs: 1000, silenceMs: 1000 });
    try {
      expect(await get(transport, 'registry.test')).toBe(200);
      expect(asked).toEqual([`registry.test:${port}`]);
      await expect(get(transport, 'intern.test')).rejects.toMatchObject({ reason: 'Unreachable' });
    } finally {
      await transport.close();
      proxy.close();
      proxy.closeAllConnections();
    }
  });

  let port: number;
  let ca: string;
  let close: () => Promise<void>;

  beforeAll(async () => {
    const authority = await createCa('test', 1, Date.now());
    const leaf = await issueServerCertificate(authority, ['registry.test'], 1, Date.now());
    ca = authority.cert;
    const server = createServer({ cert: leaf.cert, key: leaf.key }, (_request, response) =>
      response.end('hello'),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ({ port } = server.address() as AddressInfo);
    close = async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    };
  });
  afterAll(async () => {
    await close();
  });

  function transportWith(policyOf: ConnectionPolicyOf): Transport {
    const connections = createConnections(policyOf, { connectMs: 1000 });
    return new Transport(connections, { headMs: 1000, silenceMs: 1000 });
  }

  async function get(transport: Transport, host = '127.0.0.1'): Promise<number> {
    const { signal } = new AbortController();
    const url = new URL(`https://${host}:${port}/v2/`);
    const response = await transport.send({
      ...{ method: 'GET', url, headers: {}, scopes: [], accept: [200], signal },
      authenticator: noAuthentication,
    });
    response.body.resume();
    return response.status;
  }

  async function statusWith(policy: ConnectionPolicy): Promise<number> {
    const seen: string[] = [];
    const transport = transportWith((host) => {
      seen.push(host);
      return policy;
    });
    try {
      const status = await get(transport);
      expect(new Set(seen)).toEqual(new Set([`127.0.0.1:${port}`]));
      return status;
    } finally {
      await transport.close();
    }
  }

  it('is refused with a certificate that nobody vouches for', async () => {
    await expect(statusWith({ serverName: 'registry.test' })).rejects.toMatchObject({
      reason: 'Unreachable',
      message: expect.stringContaining('shows a certificate that is not trusted') as string,
    });
  });

  it('trusts the authority that is given, for the name that is expected', async () => {
    expect(await statusWith({ ca, serverName: 'registry.test' })).toBe(200);
    await expect(statusWith({ ca, serverName: 'other.test' })).rejects.toMatchObject({
      message: expect.stringContaining('certificate for another name') as string,
    });
  });

  it('trusts an authority as soon as the settings name it', async () => {
    const leaf = { host: '127.0.0.1:*', allowAddresses: ['127.0.0.1'] };
    let settings: UpstreamSettings[] = [leaf];
    const policyOf = upstreamPolicies({ get: () => settings });
    const transport = transportWith((host) => ({ ...policyOf(host), serverName: 'registry.test' }));
    await expect(get(transport)).rejects.toMatchObject({ reason: 'Unreachable' });
    settings = [{ ...leaf, ca }];
    expect(await get(transport)).toBe(200);
    await transport.close();
  });

  it('is not verified when an administrator says so', async () => {
    expect(await statusWith({ insecureSkipVerify: true })).toBe(200);
  });
});
