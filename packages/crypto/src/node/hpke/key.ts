/** HPKE key handles over node:crypto key objects. */
import type { KeyObject } from 'node:crypto';
import type { Key, KeyPair } from 'hpke';

/** One component key of a KEM, with the public bytes that its key derivation needs again and again. */
export interface Component {
  readonly privateKey: KeyObject | undefined;
  readonly publicKey: KeyObject;
  readonly publicBytes: Uint8Array;
}

export class NodeKey<Parts> implements Key {
  readonly algorithm: { readonly name: string };
  readonly type: 'public' | 'private';
  readonly extractable: boolean;
  readonly parts: Parts;
  /** Serialised key: of a private key only where it is extractable. */
  readonly #serialised: Uint8Array | undefined;

  constructor(
    name: string,
    type: 'public' | 'private',
    extractable: boolean,
    parts: Parts,
    serialised: Uint8Array,
  ) {
    this.algorithm = { name };
    this.type = type;
    this.extractable = extractable;
    this.parts = parts;
    this.#serialised = extractable ? serialised.slice() : undefined;
  }

  serialise(): Uint8Array {
    if (this.#serialised === undefined) throw new TypeError('the key is not extractable');
    return this.#serialised.slice();
  }
}

export const keyPair = <Parts>(
  name: string,
  extractable: boolean,
  parts: Parts,
  privateBytes: Uint8Array,
  publicBytes: Uint8Array,
): KeyPair<NodeKey<Parts>> => ({
  publicKey: new NodeKey(name, 'public', true, parts, publicBytes),
  privateKey: new NodeKey(name, 'private', extractable, parts, privateBytes),
});
