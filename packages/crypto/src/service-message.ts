/**
 * `@astis/crypto/service-message`: what gateway and CVS say to each other (docs/protocol.md, "Service messages"),
 * inside mTLS: JSON, signed and encrypted by OpenPGP service keys (RFC 9580), so that whoever terminates TLS between
 * them learns and changes nothing.
 *
 * OpenPGP.js writes no Intended Recipient Fingerprint (RFC 9580 §5.2.3.36), so sender and receiver stand in the signed
 * payload, which does the same: a message can't be encrypted anew and passed on as if it had been meant for somebody
 * else. An answer names its request's method and the hash of its payload, and so belongs to that request alone.
 */
import { equalBytes, fromBase64Url, ProtocolError, toBase64Url, utf8 } from '@astis/protocol/formats';
import { backend } from '#backend';
import { ServiceMessageError } from './service-message-error.ts';
import type { ServiceKey, ServicePeer } from './service-message-keys.ts';
import { openPayload, sealPayload } from './service-message-pgp.ts';

export type { ServiceMessageErrorCode } from './service-message-error.ts';
export { ServiceMessageError } from './service-message-error.ts';
export type { ServiceKey, ServiceKeyText, ServicePeer } from './service-message-keys.ts';
export { generateServiceKey, readServiceKey, readServicePeer } from './service-message-keys.ts';
export { MAX_MESSAGE_BYTES, MAX_PAYLOAD_BYTES } from './service-message-pgp.ts';

/** How far apart the two clocks, the way between them included, may be; also how long a request id is remembered. */
export const MAX_SKEW_SECONDS = 60;

const VERSION = 1;
const MAX_METHOD_LENGTH = 64;
const MAX_DETAIL_LENGTH = 1000;

/** Whose keys a message is opened or made with, and the time in milliseconds since 1970 where it isn't the machine's. */
export interface Between {
  readonly self: ServiceKey;
  readonly peer: ServicePeer;
  readonly now?: number;
}

export interface SealedRequest {
  readonly message: Uint8Array;
  readonly method: string;
  /** SHA-256 of the payload: what the answer must name. */
  readonly hash: Uint8Array;
}

export interface OpenedRequest {
  /** 16 random bytes as base64url. The receiver must refuse one that it has seen within the window. */
  readonly id: string;
  /** Seconds since 1970 by the sender's clock; within {@link MAX_SKEW_SECONDS} of the receiver's. */
  readonly at: number;
  readonly method: string;
  /** Not checked here. */
  readonly params: unknown;
  readonly hash: Uint8Array;
}

export interface ServiceProblem {
  readonly code: string;
  readonly detail: string;
}

/** What was answered. `result` isn't checked here. */
export type ServiceOutcome = { readonly result: unknown } | { readonly problem: ServiceProblem };

type Fields = ReadonlyMap<string, unknown>;

const malformed = (why: string): ServiceMessageError => new ServiceMessageError('message_malformed', why);
const secondsOf = (now: number): number => Math.floor(now / 1000);

function parse(payload: Uint8Array): Fields {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload));
  } catch {
    throw malformed('the payload is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw malformed('the payload is not a JSON object');
  return new Map(Object.entries(value));
}

function exactly(fields: Fields, names: readonly string[]): void {
  if (fields.size !== names.length || !names.every((name) => fields.has(name)))
    throw malformed('the payload has other members than it must');
  if (fields.get('v') !== VERSION) throw malformed('a version unknown here');
}

function text(fields: Fields, name: string, maxLength: number): string {
  const value = fields.get(name);
  if (typeof value !== 'string' || value.length === 0 || value.length > maxLength)
    throw malformed(`${name} is not text of that length`);
  return value;
}

function bytes(fields: Fields, name: string, length: number): Uint8Array {
  let value: Uint8Array;
  try {
    value = fromBase64Url(text(fields, name, Math.ceil((length * 4) / 3)));
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw malformed(`${name} is not base64url`);
  }
  if (value.length !== length) throw malformed(`${name} is not ${length} bytes`);
  return value;
}

/** Sender, receiver and time, as both kinds of payload have them. */
function checkRoute(fields: Fields, { self, peer }: Between, now: number): number {
  if (fields.get('to') !== self.fingerprint)
    throw new ServiceMessageError('wrong_receiver', 'meant for another service');
  if (fields.get('from') !== peer.fingerprint)
    throw new ServiceMessageError('wrong_sender', 'from another service');
  const at = fields.get('at');
  if (typeof at !== 'number' || !Number.isSafeInteger(at)) throw malformed('at is not a time');
  if (Math.abs(at - secondsOf(now)) > MAX_SKEW_SECONDS)
    throw new ServiceMessageError('message_stale', `not made within ${MAX_SKEW_SECONDS} seconds of now`);
  return at;
}

const route = ({ self, peer }: Between, now: number) => ({
  v: VERSION,
  from: self.fingerprint,
  to: peer.fingerprint,
  at: secondsOf(now),
});

/** What to open a message against: the skew, and the second that a time loses by being cut to seconds. */
const latest = (now: number): number => now + (MAX_SKEW_SECONDS + 1) * 1000;

/** @throws ServiceMessageError `message_too_large` */
export async function sealRequest(
  { method, params }: { readonly method: string; readonly params: object },
  between: Between,
): Promise<SealedRequest> {
  const now = between.now ?? Date.now();
  const id = toBase64Url(backend.randomBytes(16));
  const payload = utf8(JSON.stringify({ ...route(between, now), id, method, params }));
  const message = await sealPayload(payload, between.self, between.peer, now);
  return { message, method, hash: backend.sha256(payload) };
}

/**
 * Whether the id is fresh is the caller's to check, in the store that all its processes share.
 *
 * @throws ServiceMessageError `message_too_large`, `message_malformed`, `wrong_receiver`, `wrong_sender`,
 * `message_signature_invalid`, `message_stale`
 */
export async function openRequest(message: Uint8Array, between: Between): Promise<OpenedRequest> {
  const now = between.now ?? Date.now();
  const payload = await openPayload(message, between.self, between.peer, latest(now));
  const fields = parse(payload);
  exactly(fields, ['v', 'from', 'to', 'at', 'id', 'method', 'params']);
  const at = checkRoute(fields, between, now);
  return {
    id: toBase64Url(bytes(fields, 'id', 16)),
    at,
    method: text(fields, 'method', MAX_METHOD_LENGTH),
    params: fields.get('params'),
    hash: backend.sha256(payload),
  };
}

/** @throws ServiceMessageError `message_too_large` */
export function sealResponse(
  outcome: ServiceOutcome,
  request: Pick<OpenedRequest, 'method' | 'hash'>,
  between: Between,
): Promise<Uint8Array> {
  const now = between.now ?? Date.now();
  const bound = { method: request.method, requestHash: toBase64Url(request.hash) };
  const payload = utf8(JSON.stringify({ ...route(between, now), ...bound, ...outcome }));
  return sealPayload(payload, between.self, between.peer, now);
}

function problemOf(value: unknown): ServiceProblem {
  if (typeof value !== 'object' || value === null) throw malformed('problem is not an object');
  const fields: Fields = new Map(Object.entries(value));
  if (fields.size !== 2) throw malformed('problem has other members than it must');
  return { code: text(fields, 'code', MAX_METHOD_LENGTH), detail: text(fields, 'detail', MAX_DETAIL_LENGTH) };
}

/**
 * @throws ServiceMessageError as {@link openRequest}, and `wrong_request` when it answers another request
 */
export async function openResponse(
  message: Uint8Array,
  request: Pick<SealedRequest, 'method' | 'hash'>,
  between: Between,
): Promise<ServiceOutcome> {
  const now = between.now ?? Date.now();
  const fields = parse(await openPayload(message, between.self, between.peer, latest(now)));
  const outcome = fields.has('problem') ? 'problem' : 'result';
  exactly(fields, ['v', 'from', 'to', 'at', 'method', 'requestHash', outcome]);
  checkRoute(fields, between, now);
  const isItsAnswer = equalBytes(bytes(fields, 'requestHash', 32), request.hash);
  if (!isItsAnswer || fields.get('method') !== request.method)
    throw new ServiceMessageError('wrong_request', 'the answer to another request');
  return outcome === 'problem'
    ? { problem: problemOf(fields.get('problem')) }
    : { result: fields.get('result') };
}
