/** The shape of a method's implementation. */
import type { JsonObject } from '@astis/audit';
import type {
  CustodyMethod,
  CustodyParams,
  CustodyResult,
  SigningPublicKey,
  TenantId,
} from '@astis/protocol';
import type { CustodyStore, CustodyTx, Event } from '@astis/store';
import type { WorkerPool } from '../worker/pool.ts';

export interface Services {
  readonly store: CustodyStore;
  readonly workers: Pick<WorkerPool, 'run'>;
  /** Public half of the operator's key, which orders tenants. */
  readonly operatorKey: SigningPublicKey;
  /** What the origins of logs begin with: a schema-less URL. */
  readonly logPrefix: string;
  /** How long a holding key lasts; in its first half it is given out for new capsules. */
  readonly holdingSeconds: number;
}

export interface Done<M extends CustodyMethod> {
  readonly result: CustodyResult<M>;
  /** For the CVS's own log; at least one. */
  readonly events: readonly Event[];
}

/** A call that has been read and, as far as that doesn't need the log's lock, checked and computed. */
export interface Prepared<M extends CustodyMethod> {
  readonly tenantId: TenantId;
  /** Checks what must hold at the moment of the commit, and writes. Its answer leaves after the commit. */
  commit(tx: CustodyTx): Promise<Done<M>>;
}

/**
 * @throws ProblemError with the refusal's code; ProtocolError and CryptoError where an object inside of the
 * parameters is malformed or its signature doesn't hold
 */
export type Handler<M extends CustodyMethod> = (
  params: CustodyParams<M>,
  services: Services,
) => Promise<Prepared<M>>;

/** An entry about something that was granted. `actor` is the one whose signature authorised it, else `gateway`. */
export const granted = (
  method: CustodyMethod,
  actor: string,
  subject: string,
  data: JsonObject = {},
): Event => ({ kind: method, actor, subject, data: { ...data, outcome: 'granted' } });

/** The actor of calls that carry no signature of anybody's. */
export const GATEWAY = 'gateway';

export const secondsOf = (milliseconds: number): number => Math.floor(milliseconds / 1000);
