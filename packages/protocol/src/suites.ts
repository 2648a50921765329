/**
 * The registry of algorithms. A version of the format fixes everything that isn't named here; there is no
 * negotiation: a sealer uses what the recipient's certified key says, and an unknown number is refused.
 */
import { ProtocolError } from './errors.ts';

/** HPKE KEM ids (IANA "HPKE KEM Identifiers"). The KDF is always HKDF-SHA256 and the AEAD AES-256-GCM. */
export const KEMS = {
  'X-Wing': { id: 0x647a, publicKeyBytes: 1216, privateKeyBytes: 32, encBytes: 1120 },
  X25519: { id: 0x0020, publicKeyBytes: 32, privateKeyBytes: 32, encBytes: 32 },
  'P-256': { id: 0x0010, publicKeyBytes: 65, privateKeyBytes: 32, encBytes: 65 },
} as const;

export type KemName = keyof typeof KEMS;
export const DEFAULT_KEM: KemName = 'X-Wing';
export const KEM_NAMES = Object.keys(KEMS) as KemName[];

export function kemById(id: number): KemName {
  const name = KEM_NAMES.find((candidate) => KEMS[candidate].id === id);
  if (name === undefined) throw new ProtocolError('unknown_algorithm', 'unknown KEM');
  return name;
}

/** COSE algorithm numbers (IANA "COSE Algorithms"). */
export const COSE_A256GCM = 3;
/** Fully specified Ed25519 (RFC 9864). */
export const COSE_ED25519 = -19;
