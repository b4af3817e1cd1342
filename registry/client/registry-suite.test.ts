/** The fake registry passes the suite that the real ones pass, for each way to log in. */
import { type FakeLogin, FakeRegistry } from '../../test/fakes/registry.ts';
import { registrySuite } from '../../test/conformance/registry-suite.ts';
import type { Credential } from '../core/credentials.ts';
import { createConnections } from '../transport/http/connector.ts';
import { Transport } from '../transport/transport.ts';

const credential: Credential = { username: 'larder', password: 'secret' };
const logins: readonly { login: FakeLogin; credentials: Credential[] }[] = [
  { login: { kind: 'none' }, credentials: [] },
  {
    login: { kind: 'basic', ...credential },
    credentials: [{ username: 'larder', password: 'old' }, credential],
  },
  { login: { kind: 'token' }, credentials: [] },
  {
    login: { kind: 'token', ...credential },
    credentials: [{ username: 'larder', password: 'old' }, credential],
  },
];

for (const { login, credentials } of logins) {
  registrySuite(`fake registry, ${credentials.length} credentials, login ${login.kind}`, async () => {
    const registry = await FakeRegistry.start({ login });
    const connections = createConnections(() => ({}), { connectMs: 1000 });
    const transport = new Transport(connections, { headMs: 10_000, silenceMs: 10_000 });
    const { origin } = registry;
    return {
      origin,
      transport,
      authenticator: transport.authenticator({ origin, tokenHosts: [] }, credentials),
      close: async () => {
        await transport.close();
        await registry.close();
      },
    };
  });
}
