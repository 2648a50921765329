/** The directory is the server's: what it says is held against the pinned key and against what was seen before. */
import { newSigningKey } from '@astis/crypto';
import type { Address, KeyId } from '@astis/protocol';
import { parseAddress } from '@astis/protocol';
import { expect, test } from 'vitest';
import type { Pins } from './directory.ts';
import { lookUp } from './directory.ts';
import { certificateFor, fakeClient } from './fake-gateway.fixture.ts';

const bob = parseAddress('bob@example.org');
const pinsOf = (): Pins => {
  const all = new Map<Address, KeyId>();
  return { get: (address) => all.get(address), set: (address, keyId) => void all.set(address, keyId) };
};
const directory = (certificates: readonly string[], holding?: string) =>
  fakeClient(({ url }) => ({
    body: url.endsWith('/v1/holding-keys') ? { certificate: holding } : { certificates, missing: [] },
  }));

test('a key is pinned when it is first seen; another one is refused until it is accepted', async () => {
  const pins = pinsOf();
  const first = await directory([await certificateFor(bob)]);
  const [key] = await lookUp(first.client, [bob], pins);
  expect(pins.get(bob)).toBe(key?.keyId);
  await lookUp(first.client, [bob], pins);

  const swapped = await directory([await certificateFor(bob)]);
  await expect(lookUp(swapped.client, [bob], pins)).rejects.toMatchObject({ code: 'recipient_key_changed' });
  expect(pins.get(bob)).toBe(key?.keyId);
  const [accepted] = await lookUp(swapped.client, [bob], pins, new Set([bob]));
  expect(pins.get(bob)).toBe(accepted?.keyId);
});

test('a holding key is not pinned, and does not replace a key that is', async () => {
  const pins = pinsOf();
  const holding = await certificateFor(bob, { kind: 'holding' });
  const [key] = await lookUp((await directory([], holding)).client, [bob], pins);
  expect(key?.kind).toBe('holding');
  expect(pins.get(bob)).toBeUndefined();
  await lookUp((await directory([await certificateFor(bob)])).client, [bob], pins);
  await expect(lookUp((await directory([], holding)).client, [bob], pins)).rejects.toMatchObject({
    code: 'recipient_key_changed',
  });
});

test('a certificate of another signer, or of another address than asked for, is refused', async () => {
  const forged = await directory([await certificateFor(bob, { by: newSigningKey() })]);
  await expect(lookUp(forged.client, [bob], pinsOf())).rejects.toMatchObject({ code: 'certificate_invalid' });
  const other = await certificateFor(parseAddress('mallory@example.org'), { kind: 'holding' });
  const misled = await directory([], other);
  await expect(lookUp(misled.client, [bob], pinsOf())).rejects.toMatchObject({ code: 'answer_untrusted' });
});
