/**
 * What the main process may ask of a worker. Each job says what is to be made, never "sign these bytes" or "open
 * this": keys and DEKs stay in the worker, sealed keys, wraps and signed objects come out.
 */
import type { KeyPurpose } from '@astis/crypto/custody';
import type {
  Address,
  KemName,
  KemPublicKey,
  KeyId,
  TenantId,
  WrapBytes,
  WrapContext,
} from '@astis/protocol';

export interface SealedKey {
  readonly keyId: KeyId;
  readonly purpose: KeyPurpose;
  readonly sealed: Uint8Array;
}

export interface SealedKemKey extends SealedKey {
  readonly kem: KemName;
}

export interface NewKey {
  readonly keyId: KeyId;
  readonly publicKey: Uint8Array;
  readonly sealed: Uint8Array;
}

/** A wrap whose statement, sealer, links and TTL the main process has checked. */
export interface RewrapItem {
  readonly wrap: WrapBytes;
  /** What it is bound to, as the statement says. */
  readonly context: WrapContext;
}

export type Rewrapped =
  | { readonly wrap: WrapBytes; readonly link: Uint8Array }
  /** It didn't open, or the DEK isn't the one that the statement commits to. */
  | { readonly refused: 'wrap_invalid' };

interface JobTypes {
  'make-signing-key': {
    readonly job: { readonly purpose: 'identity' | 'checkpoint' };
    readonly result: NewKey;
  };
  'make-kem-key': {
    readonly job: { readonly purpose: 'organisation' | 'holding'; readonly kem: KemName };
    readonly result: NewKey;
  };
  /** Signs a certificate's payload. */
  certify: {
    readonly job: { readonly identity: SealedKey; readonly payload: Uint8Array };
    readonly result: Uint8Array;
  };
  /** Signs a tree head as a C2SP note. */
  'sign-checkpoint': {
    readonly job: {
      readonly checkpoint: SealedKey;
      readonly origin: string;
      readonly size: number;
      readonly root: Uint8Array;
    };
    readonly result: string;
  };
  rewrap: {
    readonly job: {
      readonly from: SealedKemKey;
      readonly identity: SealedKey;
      readonly to: { readonly address: Address; readonly kem: KemName; readonly kemKey: KemPublicKey };
      readonly items: readonly RewrapItem[];
      /** Seconds since 1970, for the links. */
      readonly at: number;
    };
    readonly result: readonly Rewrapped[];
  };
  /** Does the root key open this one? */
  probe: { readonly job: { readonly key: SealedKey }; readonly result: boolean };
}

export type JobKind = keyof JobTypes;
export type Job<K extends JobKind = JobKind> = {
  [Each in K]: { readonly kind: Each; readonly tenantId: TenantId } & JobTypes[Each]['job'];
}[K];
export type JobResult<K extends JobKind> = JobTypes[K]['result'];

/** How often a private KEM key is used by a job: what workers are recycled by. */
export const usesOf = (job: Job): number => (job.kind === 'rewrap' ? job.items.length : 1);
