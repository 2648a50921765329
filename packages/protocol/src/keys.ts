/** Key ids: thumbprints that bind the algorithm together with the public key. */
import { sha256 } from '@noble/hashes/sha2.js';
import { encodeCbor } from './cbor.ts';
import type { KemPublicKey, KeyId, SigningPublicKey } from './ids.ts';
import { keyIdText } from './ids.ts';
import type { KemName } from './suites.ts';
import { COSE_ED25519, KEMS } from './suites.ts';

/** SHA-256 over the CBOR array ["astis/v1 kem key", KEM id, public key]. */
export const kemKeyId = (kem: KemName, publicKey: KemPublicKey): KeyId =>
  keyIdText(sha256(encodeCbor(['astis/v1 kem key', KEMS[kem].id, publicKey])));

/** SHA-256 over the CBOR array ["astis/v1 signing key", COSE algorithm, public key]. */
export const signingKeyId = (publicKey: SigningPublicKey): KeyId =>
  keyIdText(sha256(encodeCbor(['astis/v1 signing key', COSE_ED25519, publicKey])));
