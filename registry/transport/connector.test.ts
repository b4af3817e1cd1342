import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createCa, issueServerCertificate } from '../../platform/x509.ts';
import { noAuthentication } from './authenticator.ts';
import type { ConnectionPolicy } from './connector.ts';
import { createDispatcher } from './connector.ts';
import { Transport } from './transport.ts';

describe('TLS', () => {
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

  async function statusWith(policy: ConnectionPolicy): Promise<number> {
    const seen: string[] = [];
    const policyOf = (host: string): ConnectionPolicy => {
      seen.push(host);
      return policy;
    };
    const transport = new Transport(createDispatcher(policyOf, { connectMs: 1000 }), {
      headMs: 1000,
      silenceMs: 1000,
    });
    try {
      const { signal } = new AbortController();
      const url = new URL(`https://127.0.0.1:${port}/v2/`);
      const response = await transport.send({
        ...{ method: 'GET', url, headers: {}, scopes: [], accept: [200], signal },
        authenticator: noAuthentication,
      });
      response.body.resume();
      expect(new Set(seen)).toEqual(new Set([`127.0.0.1:${port}`]));
      return response.status;
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

  it('is not verified when an administrator says so', async () => {
    expect(await statusWith({ insecureSkipVerify: true })).toBe(200);
  });
});
