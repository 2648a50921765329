/** Calls the CVS: a service message (signed and encrypted OpenPGP) inside mTLS. */
import type { ServiceKey, ServiceOutcome } from '@astis/crypto/service-message';
import {
  openResponse,
  readServicePeer,
  ServiceMessageError,
  sealRequest,
} from '@astis/crypto/service-message';
import type { CustodyMethod, CustodyParams, CustodyResult } from '@astis/protocol';
import { CUSTODY_METHODS, isProblemCode, ProblemError } from '@astis/protocol';
import { Value } from 'typebox/value';
import { Agent, request } from 'undici';
import type { GatewayConfig } from '../config.ts';

export interface Custody {
  /** @throws {ProblemError} what the CVS refuses with, or `custody_unavailable`. */
  call<M extends CustodyMethod>(method: M, params: CustodyParams<M>): Promise<CustodyResult<M>>;
  close(): Promise<void>;
}

const unavailable = (): ProblemError =>
  new ProblemError('custody_unavailable', 'The key custody service does not answer. Try again.');

export async function connectCustody(config: GatewayConfig['custody'], self: ServiceKey): Promise<Custody> {
  const peer = await readServicePeer(config.serviceKey);
  const between = { self, peer };
  const agent = new Agent({
    connect: { ca: config.ca, cert: config.cert, key: config.key, minVersion: 'TLSv1.3' },
    bodyTimeout: 60_000,
    headersTimeout: 60_000,
  });

  async function exchange(method: CustodyMethod, params: object): Promise<ServiceOutcome> {
    const sealed = await sealRequest({ method, params }, between);
    try {
      const { statusCode, body } = await request(`${config.url}/custody`, {
        method: 'POST',
        dispatcher: agent,
        headers: { 'content-type': 'application/octet-stream' },
        body: sealed.message,
      });
      const answer = new Uint8Array(await body.arrayBuffer());
      if (statusCode !== 200) throw unavailable();
      return await openResponse(answer, sealed, between);
    } catch (error) {
      // An answer that is not the CVS's to this very request is none.
      if (error instanceof ServiceMessageError || !(error instanceof ProblemError)) throw unavailable();
      throw error;
    }
  }

  return {
    async call<M extends CustodyMethod>(method: M, params: CustodyParams<M>): Promise<CustodyResult<M>> {
      const outcome = await exchange(method, params);
      if ('problem' in outcome) {
        const { code, detail } = outcome.problem;
        throw isProblemCode(code) ? new ProblemError(code, detail) : unavailable();
      }
      const { result } = outcome;
      const isResult = (value: unknown): value is CustodyResult<M> =>
        Value.Check(CUSTODY_METHODS[method].result, value);
      if (!isResult(result)) throw unavailable();
      return result;
    },
    close: () => agent.close(),
  };
}
