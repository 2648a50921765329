/**
 * A thief who tries everything: each run of 32 bytes in what was stolen, also where it stands there as hexadecimal or
 * base64, as a DEK, as a recipient's private key of each kind, and as the root key that custody's keys are sealed under.
 */
import { createDecipheriv } from 'node:crypto';
import type { SealedHeader } from '@astis/crypto';
import { dekCommitment, kemKeyPair, localUnwrapper, unwrapDek } from '@astis/crypto';
import type {
  Address,
  Dek,
  KemName,
  KemPrivateKey,
  KeyId,
  Statement,
  Wrap,
  WrapBytes,
} from '@astis/protocol';
import {
  decodeSign1,
  decodeStatement,
  decodeWrap,
  encodeCbor,
  equalBytes,
  fromBase64Url,
  toBase64Url,
  uuidBytes,
} from '@astis/protocol';

export interface SealedKey {
  readonly keyId: KeyId;
  readonly purpose: string;
  readonly sealed: Uint8Array;
}

export interface Loot {
  readonly files: readonly Buffer[];
  /** Headers of stolen artifacts. */
  readonly artifacts: readonly SealedHeader[];
  readonly sealedKeys: readonly SealedKey[];
}

const KEY_BYTES = 32;
const KEMS: readonly KemName[] = ['X-Wing', 'X25519', 'P-256'];
/** Values longer than that are public keys, certificates and the like: looked through for DEKs only. */
const KEY_FILE_BYTES = 512;

/** Everything in a file that may be a value: itself, and whatever it writes as hexadecimal, base64 or base64url. */
function* valuesIn(file: Buffer): Generator<Buffer> {
  const text = file.toString('latin1');
  if (file.length < 1 << 14) yield file;
  for (const [run] of text.matchAll(/(?:[0-9a-f]{2}){32,}/g)) yield Buffer.from(run, 'hex');
  for (const [run] of text.matchAll(/[A-Za-z0-9+/_-]{43,}/g)) yield Buffer.from(run, 'base64url');
}

interface Candidates {
  readonly keys: readonly Uint8Array[];
  readonly deks: readonly Uint8Array[];
  readonly values: readonly Buffer[];
}

function candidatesIn(files: readonly Buffer[]): Candidates {
  const values = new Map<string, Buffer>();
  for (const file of files) for (const value of valuesIn(file)) values.set(value.toString('latin1'), value);
  const keys = new Map<string, Uint8Array>();
  const deks = new Map<string, Uint8Array>();
  for (const value of values.values()) {
    for (let at = 0; at + KEY_BYTES <= value.length; at++) {
      const bytes = value.subarray(at, at + KEY_BYTES);
      const name = bytes.toString('latin1');
      deks.set(name, bytes);
      if (value.length <= KEY_FILE_BYTES && (value.length <= 128 || at === 0)) keys.set(name, bytes);
    }
  }
  return { keys: [...keys.values()], deks: [...deks.values()], values: [...values.values()] };
}

const attempt = <T>(work: () => T): T | undefined => {
  try {
    return work();
  } catch {
    return undefined;
  }
};

/** A private key that was sealed under this root key (see `@astis/crypto/custody`). */
function unsealed(root: Uint8Array, { keyId, purpose, sealed }: SealedKey, tenantId: Statement['tenantId']) {
  return attempt(() => {
    const decipher = createDecipheriv('aes-256-gcm', root, sealed.subarray(1, 13));
    decipher.setAAD(encodeCbor(['astis/v1 sealed key', uuidBytes(tenantId), fromBase64Url(keyId), purpose]));
    decipher.setAuthTag(sealed.subarray(-16));
    return Buffer.concat([decipher.update(sealed.subarray(13, -16)), decipher.final()]);
  });
}

export interface Tried {
  readonly deks: number;
  readonly keys: number;
  readonly wraps: number;
  /** What opened what. */
  readonly opened: readonly string[];
}

export async function tryEverything({ files, artifacts, sealedKeys }: Loot): Promise<Tried> {
  const { keys, deks, values } = candidatesIn(files);
  const opened = new Set<string>();
  const statements = values.flatMap((value) => {
    const statement = attempt(() => decodeStatement(decodeSign1(value, 'astis/statement').payload));
    return statement === undefined ? [] : [statement];
  });
  const wraps: (readonly [WrapBytes, Wrap])[] = values.flatMap((value) => {
    const bytes = Uint8Array.from(value) as WrapBytes;
    const wrap = attempt(() => decodeWrap(bytes));
    return wrap === undefined ? [] : [[bytes, wrap] as const];
  });
  const commitments = [
    ...artifacts.map(({ header: { artifactId, commitment } }) => ({ artifactId, commitment })),
    ...statements.map(({ artifactId, commitment }) => ({ artifactId, commitment })),
  ];
  for (const dek of deks) {
    for (const { artifactId, commitment } of commitments) {
      if (equalBytes(dekCommitment(dek as Dek, artifactId), commitment)) opened.add(`DEK of ${artifactId}`);
    }
  }
  const privateKeys: (readonly [from: string, key: Uint8Array])[] = keys.map((key) => ['found', key]);
  for (const root of keys) {
    for (const sealedKey of sealedKeys) {
      for (const { tenantId } of statements) {
        const key = unsealed(root, sealedKey, tenantId);
        if (key !== undefined) privateKeys.push([`${sealedKey.purpose} key by the root key`, key]);
      }
    }
  }
  for (const [from, key] of privateKeys) {
    for (const kem of KEMS) {
      const pair = attempt(() => kemKeyPair(kem, Uint8Array.from(key) as KemPrivateKey));
      if (pair === undefined) continue;
      for (const [bytes, { keyId }] of wraps) {
        if (keyId !== pair.keyId) continue;
        const unwrapper = await localUnwrapper(kem, pair.privateKey);
        for (const { artifactId, headerHash, commitment, tenantId, recipients } of statements) {
          for (const address of new Set<Address>(recipients.map((recipient) => recipient.address))) {
            const context = { artifactId, headerHash, commitment, tenantId, address, keyId };
            const dek = await unwrapDek(bytes, unwrapper, context).catch(() => undefined);
            if (dek !== undefined) opened.add(`wrap to ${address} by ${from}`);
          }
        }
      }
    }
  }
  return { deks: deks.length, keys: keys.length, wraps: wraps.length, opened: [...opened] };
}

export const keyIdFrom = (bytes: Uint8Array): KeyId => toBase64Url(bytes) as KeyId;
