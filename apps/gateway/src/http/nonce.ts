/** Server nonces for proofs (RFC 9449 §8): stateless, the same on all gateways, good for two to three minutes. */
import type { KeyObject } from 'node:crypto';
import { createHmac, timingSafeEqual } from 'node:crypto';

const SLOT_MS = 60_000;
const SLOTS = 3;

export class Nonces {
  readonly #key: KeyObject;
  #slot = -1;
  #current = '';

  constructor(key: KeyObject) {
    this.#key = key;
  }

  #of(slot: number): string {
    return createHmac('sha256', this.#key).update(`astis/v1 nonce ${slot}`).digest('base64url').slice(0, 24);
  }

  current(now: number): string {
    const slot = Math.floor(now / SLOT_MS);
    if (slot !== this.#slot) {
      this.#current = this.#of(slot);
      this.#slot = slot;
    }
    return this.#current;
  }

  accepts(nonce: string, now: number): boolean {
    if (nonce === this.current(now)) return true;
    const slot = Math.floor(now / SLOT_MS);
    const given = Buffer.from(nonce);
    for (let back = 1; back < SLOTS; back++) {
      const known = Buffer.from(this.#of(slot - back));
      if (given.length === known.length && timingSafeEqual(given, known)) return true;
    }
    return false;
  }

  /** Until when an id seen now could come back under a nonce that is still accepted. */
  static replayableUntil(now: number): Date {
    return new Date(now + SLOT_MS * (SLOTS + 1));
  }
}
