import { createSecretKey, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { Nonces } from './nonce.ts';

const secret = createSecretKey(randomBytes(32));
const NOW = 1_800_000_000_000;
const MINUTE = 60_000;

test('a nonce holds for two minutes on every gateway with the secret, and never after three', () => {
  const nonce = new Nonces(secret).current(NOW);
  const elsewhere = new Nonces(secret);
  expect(elsewhere.accepts(nonce, NOW)).toBe(true);
  expect(elsewhere.accepts(nonce, NOW + 2 * MINUTE)).toBe(true);
  expect(elsewhere.accepts(nonce, NOW + 3 * MINUTE)).toBe(false);
});

test('a nonce of another secret, of the future, or made up is refused', () => {
  const nonces = new Nonces(secret);
  expect(nonces.accepts(new Nonces(createSecretKey(randomBytes(32))).current(NOW), NOW)).toBe(false);
  expect(nonces.accepts(new Nonces(secret).current(NOW + MINUTE), NOW)).toBe(false);
  expect(nonces.accepts('', NOW)).toBe(false);
  expect(nonces.accepts('x'.repeat(24), NOW)).toBe(false);
});

test('a used proof is remembered for at least as long as its nonce is accepted', () => {
  const nonces = new Nonces(secret);
  for (let offset = 0; offset < MINUTE; offset += 7000) {
    const nonce = nonces.current(NOW + offset);
    let accepted = NOW + offset;
    while (nonces.accepts(nonce, accepted + 1000)) accepted += 1000;
    expect(Nonces.replayableUntil(NOW + offset).getTime()).toBeGreaterThan(accepted);
  }
});
