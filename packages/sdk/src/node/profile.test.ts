import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newKemKeyPair, newSigningKey, signingPublicKey } from '@astis/crypto';
import { parseAddress, parsePersonId, parseTenantId, toBase64Url } from '@astis/protocol';
import { afterAll, expect, test } from 'vitest';
import type { EnrolledKeys } from '../enrolment.ts';
import { listProfiles, profilePins, readProfile, saveProfile, unlockProfile } from './profile.ts';

const root = mkdtempSync(join(tmpdir(), 'astis-profile-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const pair = await newKemKeyPair('X-Wing');
const keys: EnrolledKeys = {
  gatewayUrl: 'https://gateway.test',
  tenant: {
    tenantId: parseTenantId('11111111-1111-4111-8111-111111111111'),
    identityKey: signingPublicKey(newSigningKey()),
    checkpointKey: 'checkpoint',
    receiptKey: 'receipt',
    logOrigin: 'log',
  },
  personId: parsePersonId('22222222-2222-4222-8222-222222222222'),
  address: parseAddress('alice@example.org'),
  signingKey: newSigningKey(),
  kem: 'X-Wing',
  kemPrivateKey: pair.privateKey,
  certificate: new Uint8Array([1]),
  rewrapped: 0,
};
const edit = (path: string, change: (file: Record<string, unknown>) => void): void => {
  const file: Record<string, unknown> = JSON.parse(readFileSync(path, 'utf8'));
  change(file);
  writeFileSync(path, JSON.stringify(file));
};

test('plain keys come back, and every file is for its user alone', async () => {
  const folder = join(root, 'plain');
  saveProfile(folder, keys, {});
  const identity = await unlockProfile(readProfile(folder));
  expect(identity.signer.publicKey).toEqual(signingPublicKey(keys.signingKey));
  expect(identity.unwrapper.keyId).toBe(pair.keyId);
  profilePins(readProfile(folder)).set(keys.address, pair.keyId);
  expect(profilePins(readProfile(folder)).get(keys.address)).toBe(pair.keyId);
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).mode & 0o777, name).toBe(0o600);
  expect(listProfiles(root)).toContain('plain');
});

test('keys under a passphrase are not in the files, and open with it alone', async () => {
  const folder = join(root, 'sealed');
  saveProfile(folder, keys, { passphrase: 'correct horse' });
  const text = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
  for (const secret of [keys.signingKey, keys.kemPrivateKey])
    expect(text.some((each) => each.includes(toBase64Url(secret)))).toBe(false);
  const profile = readProfile(folder);
  expect((await unlockProfile(profile, 'correct horse')).unwrapper.keyId).toBe(pair.keyId);
  await expect(unlockProfile(profile)).rejects.toMatchObject({ code: 'passphrase_needed' });
  await expect(unlockProfile(profile, 'correct horsE')).rejects.toMatchObject({ code: 'passphrase_wrong' });
});

test('sealed keys that were changed, or moved to another person, do not open', async () => {
  const folder = join(root, 'changed');
  saveProfile(folder, keys, { passphrase: 'p' });
  const path = join(folder, 'keys.json');
  const before = readFileSync(path, 'utf8');
  edit(path, (file) => {
    const sealed = Buffer.from(String(file['ciphertext']), 'base64url');
    sealed.writeUInt8(sealed.readUInt8(0) ^ 1, 0);
    file['ciphertext'] = sealed.toString('base64url');
  });
  await expect(unlockProfile(readProfile(folder), 'p')).rejects.toMatchObject({ code: 'passphrase_wrong' });
  writeFileSync(path, before);
  edit(join(folder, 'profile.json'), (file) => {
    file['personId'] = '33333333-3333-4333-8333-333333333333';
  });
  await expect(unlockProfile(readProfile(folder), 'p')).rejects.toMatchObject({ code: 'passphrase_wrong' });
});

test('a key file can not make us take all of the memory', async () => {
  const folder = join(root, 'hungry');
  saveProfile(folder, keys, { passphrase: 'p' });
  edit(join(folder, 'keys.json'), (file) => {
    file['kdf'] = { ...Object(file['kdf']), memoryKiB: 2 ** 31 };
  });
  await expect(unlockProfile(readProfile(folder), 'p')).rejects.toMatchObject({ code: 'profile_damaged' });
});

test('keys are never overwritten; what is missing or damaged is told', () => {
  const folder = join(root, 'plain');
  expect(() => saveProfile(folder, keys, {})).toThrow(expect.objectContaining({ code: 'profile_exists' }));
  expect(() => readProfile(join(root, 'none'))).toThrow(expect.objectContaining({ code: 'profile_missing' }));
  const damaged = join(root, 'damaged');
  saveProfile(damaged, keys, {});
  writeFileSync(join(damaged, 'profile.json'), '{');
  expect(() => readProfile(damaged)).toThrow(expect.objectContaining({ code: 'profile_damaged' }));
});
