/**
 * One call, from the opened message to its outcome: method and parameters are checked, the tenant's limits, then the
 * handler prepares and commits. Granted or refused, the entry is in the log before the outcome is returned.
 */
import type { OpenedRequest, ServiceOutcome } from '@astis/crypto/service-message';
import { MAX_SKEW_SECONDS } from '@astis/crypto/service-message';
import type { CustodyMethod, CustodyParams, TenantId } from '@astis/protocol';
import { CUSTODY_METHODS, fromBase64Url, ProblemError, parseTenantId } from '@astis/protocol';
import type { CustodyTx, Event } from '@astis/store';
import { custodyRequests } from '@astis/store';
import { Compile } from 'typebox/compile';
import type { TenantLimits } from '../limits/tenant-limits.ts';
import type { Prepared, Services } from './handler.ts';
import { GATEWAY } from './handler.ts';
import { HANDLERS, isCustodyMethod } from './methods.ts';
import { PLATFORM } from './platform.ts';
import type { Refusal } from './refusal.ts';
import { refusalOf } from './refusal.ts';

export interface DispatchOptions {
  readonly services: Services;
  readonly limits: TenantLimits;
  /** For a fault of ours: told here, never to the caller. */
  readonly onFault: (error: unknown, method: string, requestId: string) => void;
}

/** How a call ended, for metrics and the process's log. */
export interface CallOutcome {
  readonly outcome: ServiceOutcome;
  readonly method: CustodyMethod | 'unknown';
  readonly tenantId: TenantId;
  /** `granted`, or the code of the refusal. */
  readonly code: string;
}

const CHECKS = new Map(
  Object.entries(CUSTODY_METHODS).map(([method, { params }]) => [method, Compile(params)] as const),
);

const FAULT: Refusal = { code: 'internal', detail: 'Something failed in the key custody service.' };
const LIMITED: Refusal = {
  code: 'rate_limited',
  detail: 'Too many calls for this organisation. Try again in a few seconds.',
};
const UNLOGGED: Refusal = {
  code: 'audit_unavailable',
  detail: 'The custody log takes no entries, so nothing is done. Try again.',
};

interface ValidCall<M extends CustodyMethod = CustodyMethod> {
  readonly method: M;
  readonly params: CustodyParams<M>;
  readonly tenantId: TenantId;
  readonly capsules: number;
}

/** The schema of a method says what its parameters are; `Static` of the very same schema is their type. */
function isParams<M extends CustodyMethod>(method: M, params: unknown): params is CustodyParams<M> {
  return CHECKS.get(method)?.Check(params) === true;
}

function validate({ method, params }: OpenedRequest): ValidCall {
  if (!isCustodyMethod(method)) throw new ProblemError('invalid_request', 'There is no such method.');
  if (!isParams(method, params))
    throw new ProblemError('invalid_request', 'The parameters are not what the method takes.');
  // A tenant's own log takes its calls; an order's tenant is known only after its signature held.
  const tenantId = 'tenantId' in params ? parseTenantId(params.tenantId) : PLATFORM;
  const capsules = 'capsules' in params ? params.capsules.length : 0;
  return { method, params, tenantId, capsules };
}

const refused = (call: ValidCall | undefined, { code, detail }: Refusal): CallOutcome => ({
  outcome: { problem: { code, detail } },
  method: call?.method ?? 'unknown',
  tenantId: call?.tenantId ?? PLATFORM,
  code,
});

export class Dispatcher {
  readonly #options: DispatchOptions;

  constructor(options: DispatchOptions) {
    this.#options = options;
  }

  /** Never rejects: what fails is an outcome too. */
  async call(request: OpenedRequest): Promise<CallOutcome> {
    let call: ValidCall | undefined;
    try {
      call = validate(request);
      if (!this.#options.limits.take(call.tenantId, call.capsules)) return refused(call, LIMITED);
      const result = await this.#carryOut(call.method, call, request);
      return { outcome: { result }, method: call.method, tenantId: call.tenantId, code: 'granted' };
    } catch (error) {
      return this.#refuse(request, call, error);
    }
  }

  /** Logs what came in but was no call: a message that doesn't open. */
  async logUnopened(code: string): Promise<boolean> {
    const { limits, services } = this.#options;
    if (!limits.take(PLATFORM, 0)) return false;
    const event: Event = {
      kind: 'message',
      actor: 'unknown',
      subject: '',
      data: { outcome: 'refused', code },
    };
    await services.store.append(PLATFORM, async () => ({ result: undefined, events: [event] }));
    return true;
  }

  async #carryOut<M extends CustodyMethod>(
    method: M,
    { params }: { readonly params: CustodyParams<M> },
    request: OpenedRequest,
  ): Promise<unknown> {
    const prepared: Prepared<M> = await HANDLERS[method](params, this.#options.services);
    return this.#append(prepared.tenantId, async (tx) => {
      if (!(await useId(tx, request)))
        throw new ProblemError('request_replayed', 'This message was received before.');
      const { result, events } = await prepared.commit(tx);
      return { result, events: events.map((event) => withRequest(event, request)) };
    });
  }

  /** As the store's append, with the calls that limits refused since the last entry. */
  async #append<T>(
    tenantId: TenantId,
    work: (tx: CustodyTx) => Promise<{ readonly result: T; readonly events: readonly Event[] }>,
  ): Promise<T> {
    const { limits, services } = this.#options;
    const count = limits.takeLimited(tenantId);
    const limited: Event[] =
      count === 0
        ? []
        : [
            {
              kind: 'call',
              actor: GATEWAY,
              subject: '',
              data: { outcome: 'refused', code: LIMITED.code, count },
            },
          ];
    try {
      return await services.store.append(tenantId, async (tx) => {
        const { result, events } = await work(tx);
        return { result, events: [...limited, ...events] };
      });
    } catch (error) {
      limits.giveBackLimited(tenantId, count);
      throw error;
    }
  }

  async #refuse(request: OpenedRequest, call: ValidCall | undefined, error: unknown): Promise<CallOutcome> {
    const { onFault } = this.#options;
    const method = call?.method ?? 'unknown';
    const refusal = refusalOf(error) ?? FAULT;
    if (refusal === FAULT) onFault(error, method, request.id);
    const { code, reason } = refusal;
    const data = { outcome: 'refused', code, ...(reason === undefined ? {} : { reason }) };
    const event: Event = withRequest({ kind: method, actor: GATEWAY, subject: '', data }, request);
    const log = (tenantId: TenantId) =>
      this.#append(tenantId, async (tx) => {
        // Refused or not, this message is used up.
        await useId(tx, request);
        return { result: undefined, events: [event] };
      });
    try {
      await log(call?.tenantId ?? PLATFORM).catch((fault: unknown) => {
        if (fault instanceof ProblemError && fault.code === 'not_found') return log(PLATFORM);
        throw fault;
      });
    } catch (fault) {
      onFault(fault, method, request.id);
      return refused(call, UNLOGGED);
    }
    return refused(call, refusal);
  }
}

const useId = (tx: CustodyTx, { id, at }: OpenedRequest): Promise<boolean> =>
  custodyRequests.useMessageId(tx, fromBase64Url(id), (at + MAX_SKEW_SECONDS) * 1000);

const withRequest = (event: Event, { id }: OpenedRequest): Event => ({
  ...event,
  data: { ...event.data, request: id },
});
