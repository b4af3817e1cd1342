import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { CircuitBreaker } from '../../platform/circuit-breaker.ts';
import { RegistryError } from '../../registry/core/errors.ts';
import { parsePullPath } from '../../registry/core/pull-path.ts';
import type { OriginResponse } from '../transfer/response.ts';
import { Forwarder } from './forward.ts';
import type { Origin, Pull } from './origin.ts';
import type { Failure, OriginName } from './plan.ts';

const BLOB = `/v2/ghcr.io/acme/app/blobs/sha256:${'a'.repeat(64)}`;
const OPEN_MS = 1_000;

function pull(): Pull {
  const path = parsePullPath(BLOB);
  if (path.kind === 'base') throw new Error('not in a repository');
  const response = new ServerResponse(new IncomingMessage(new Socket()));
  const { signal } = new AbortController();
  return { id: 'test', method: 'GET', path, query: '', headers: {}, response, signal };
}

function answer(): OriginResponse {
  return { status: 200, headers: {}, body: Readable.from([]) };
}

function failure(origin: OriginName, verdict: Failure['verdict']): Failure {
  const reason = verdict === 'absent' ? 'NotFound' : 'Unreachable';
  return { origin, verdict, error: new RegistryError('not here', { reason }) };
}

describe('a crowd that comes when the copier may be asked again', () => {
  let now = 0;
  let asked = 0;
  let copierSays: () => OriginResponse | Failure | Promise<OriginResponse | Failure>;
  const copier: Origin = {
    ask: () => {
      asked += 1;
      return Promise.resolve(copierSays());
    },
  };
  const forwarder = new Forwarder({
    origins: {
      store: { ask: () => Promise.resolve(failure('store', 'absent')) },
      copier,
      upstream: { ask: () => Promise.resolve(answer()) },
    },
    breaker: new CircuitBreaker({
      failureThreshold: 1,
      openMs: OPEN_MS,
      maxOpenMs: 10 * OPEN_MS,
      probeMs: OPEN_MS,
    }),
    now: () => now,
    onFailure: () => undefined,
  });
  const servedBy = async (): Promise<OriginName> => (await forwarder.serve(pull())).origin;
  const crowd = (): Promise<OriginName[]> => Promise.all([1, 2, 3].map(servedBy));

  beforeEach(async () => {
    // One that cannot be reached is asked last for a while.
    copierSays = () => failure('copier', 'down');
    expect(await servedBy()).toBe('upstream');
    asked = 0;
    expect(await crowd()).toEqual(['upstream', 'upstream', 'upstream']);
    expect(asked).toBe(0);
    now += 100 * OPEN_MS;
  });

  it('waits with the first, and is served by it', async () => {
    const back = Promise.withResolvers<OriginResponse>();
    copierSays = () => back.promise;
    const served = crowd();
    // The first has not been answered when the others come.
    for (let turn = 0; turn < 100 && asked < 3; turn++) await new Promise(setImmediate);
    back.resolve(answer());
    expect(await served).toEqual(['copier', 'copier', 'copier']);
  });

  it('goes elsewhere with the first, which is one failure and no more', async () => {
    expect(await crowd()).toEqual(['upstream', 'upstream', 'upstream']);
    now += 2 * OPEN_MS;
    copierSays = answer;
    expect(await servedBy()).toBe('copier');
  });
});
