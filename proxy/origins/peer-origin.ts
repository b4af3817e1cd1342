/** The store and the copier as origins: what their responses mean. */
import { STATUS_CODES } from 'node:http';
import { RegistryError, toRegistryError } from '../../registry/core/errors.ts';
import { discardBody, type OriginResponse } from '../transfer/response.ts';
import type { Origin, Pull } from './origin.ts';
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

  async ask(pull: Pull, isPatient: boolean): Promise<OriginResponse | Failure> {
    try {
      const response = await this.#peer.request(pull, isPatient);
      return SERVED.has(response.status) ? response : await this.#failure(response);
    } catch (error) {
      const verdict = isSilence(error) ? 'silent' : 'down';
      return { origin: this.#name, verdict, error: toRegistryError(error) };
    }
  }

  async #failure(response: OriginResponse): Promise<Failure> {
    const origin = this.#name;
    const reason = upstreamReason(response);
    if (reason !== undefined)
      return { origin, verdict: 'refused', error: await readRefusal(response, reason) };
    discardBody(response);
    if (origin === 'store' && response.status === 404) {
      return {
        origin,
        verdict: 'absent',
        error: new RegistryError('it is not in the cache', { reason: 'NotFound' }),
      };
    }
    const message =
      `the ${origin} answered ${response.status} ${STATUS_CODES[response.status] ?? ''}`.trimEnd();
    return { origin, verdict: 'down', error: new RegistryError(message, { reason: 'UpstreamError' }) };
  }
}
