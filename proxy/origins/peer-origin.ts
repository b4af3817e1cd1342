/** The store and the copier as origins: what their answers mean. */
import { STATUS_CODES } from 'node:http';
import { RegistryError, toRegistryError } from '../../registry/core/errors.ts';
import { discard, type Answer, type Exchange, type Origin } from '../transfer/response.ts';
import { isSilence, type Peer } from './peer.ts';
import type { Failure } from './plan.ts';
import { readRefusal, upstreamReason } from './refusal.ts';

const SERVED = new Set([200, 206, 304, 416]);

export class PeerOrigin implements Origin {
  readonly #name: 'store' | 'copier';
  readonly #peer: Peer;

  constructor(name: 'store' | 'copier', peer: Peer) {
    this.#name = name;
    this.#peer = peer;
  }

  async ask(exchange: Exchange, isPatient: boolean): Promise<Answer | Failure> {
    try {
      const answer = await this.#peer.open(exchange, isPatient);
      return SERVED.has(answer.status) ? answer : await this.#failure(answer);
    } catch (error) {
      const verdict = isSilence(error) ? 'silent' : 'down';
      return { origin: this.#name, verdict, error: toRegistryError(error) };
    }
  }

  async #failure(answer: Answer): Promise<Failure> {
    const origin = this.#name;
    const reason = upstreamReason(answer);
    if (reason !== undefined) return { origin, verdict: 'refused', error: await readRefusal(answer, reason) };
    // What is left is read, so that the connection can be used again.
    discard(answer);
    if (origin === 'store' && answer.status === 404) {
      return {
        origin,
        verdict: 'absent',
        error: new RegistryError('it is not in the cache', { reason: 'NotFound' }),
      };
    }
    const message = `the ${origin} answered ${answer.status} ${STATUS_CODES[answer.status] ?? ''}`.trimEnd();
    return { origin, verdict: 'down', error: new RegistryError(message, { reason: 'UpstreamError' }) };
  }
}
