/**
 * A profile: one enrolled person on this computer, a folder of
 *   profile.json    what was pinned, and the certificate
 *   keys.json       private keys: sealed under a passphrase, or plain for this user alone (0600)
 *   pins.json       the keys that recipients were seen with
 *   receipts.jsonl  receipts of releases, which find a log that was cut short
 */
import { argon2Sync, createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { localSigner, localUnwrapper } from '@astis/crypto';
import type {
  Address,
  KemPrivateKey,
  KeyId,
  Receipt,
  SigningPrivateKey,
  SigningPublicKey,
} from '@astis/protocol';
import {
  fromBase64Url,
  KEMS,
  kemById,
  parseAddress,
  parseKeyId,
  parsePersonId,
  parseTenantId,
  toBase64Url,
} from '@astis/protocol';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import type { Pins } from '../directory.ts';
import type { EnrolledKeys } from '../enrolment.ts';
import type { Identity } from '../identity.ts';

const ProfileFile = Type.Object({
  version: Type.Literal(1),
  gatewayUrl: Type.String(),
  ca: Type.Optional(Type.String()),
  tenantId: Type.String(),
  identityKey: Type.String(),
  checkpointKey: Type.String(),
  receiptKey: Type.String(),
  logOrigin: Type.String(),
  personId: Type.String(),
  address: Type.String(),
  certificate: Type.String(),
});

const PlainKeys = Type.Object({ signingKey: Type.String(), kem: Type.Integer(), kemKey: Type.String() });
const SealedKeys = Type.Object({
  kdf: Type.Object({
    name: Type.Literal('argon2id'),
    salt: Type.String(),
    memoryKiB: Type.Integer(),
    passes: Type.Integer(),
  }),
  nonce: Type.String(),
  ciphertext: Type.String(),
});

export type ProfileErrorCode =
  | 'profile_missing'
  | 'profile_damaged'
  | 'profile_exists'
  | 'passphrase_needed'
  | 'passphrase_wrong';

export class ProfileError extends Error {
  override readonly name = 'ProfileError';
  readonly code: ProfileErrorCode;

  constructor(code: ProfileErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** $ASTIS_CONFIG_DIR, or the user's configuration folder. */
export const profilesFolder = (): string =>
  process.env['ASTIS_CONFIG_DIR'] ??
  join(process.env['XDG_CONFIG_HOME'] ?? join(homedir(), '.config'), 'astis');

export const listProfiles = (folder: string): readonly string[] =>
  existsSync(folder)
    ? readdirSync(folder, { withFileTypes: true })
        .filter((entry) => entry.isDirectory() && existsSync(join(folder, entry.name, 'profile.json')))
        .map((entry) => entry.name)
        .sort()
    : [];

/** Written beside and renamed, so that a crash leaves the old file or the new one. */
function write(path: string, value: unknown): void {
  const fresh = `${path}.${process.pid}`;
  writeFileSync(fresh, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600, flush: true });
  renameSync(fresh, path);
}

function read(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    throw new ProfileError('profile_damaged', `${path} can not be read. Restore it, or enrol anew.`);
  }
}

// OWASP's second choice for Argon2id: 64 MiB, three passes.
const KDF = { memoryKiB: 65_536, passes: 3 } as const;

const derive = (
  passphrase: string,
  salt: Uint8Array,
  { memoryKiB, passes }: { memoryKiB: number; passes: number },
): Buffer =>
  argon2Sync('argon2id', {
    message: Buffer.from(passphrase.normalize('NFC')),
    nonce: salt,
    parallelism: 1,
    tagLength: 32,
    memory: memoryKiB,
    passes,
  });

function sealKeys(keys: object, passphrase: string, aad: string): object {
  const salt = randomBytes(16);
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', derive(passphrase, salt, KDF), nonce).setAAD(Buffer.from(aad));
  const ciphertext = Buffer.concat([
    cipher.update(JSON.stringify(keys)),
    cipher.final(),
    cipher.getAuthTag(),
  ]);
  return {
    kdf: { name: 'argon2id', salt: toBase64Url(salt), ...KDF },
    nonce: toBase64Url(nonce),
    ciphertext: toBase64Url(ciphertext),
  };
}

function openKeys(file: unknown, passphrase: string | undefined, aad: string): unknown {
  if (!Value.Check(SealedKeys, file)) return file;
  if (passphrase === undefined) {
    throw new ProfileError(
      'passphrase_needed',
      'The keys are sealed. Set ASTIS_PASSPHRASE_FILE to a file with the passphrase.',
    );
  }
  const { kdf, nonce, ciphertext } = file;
  if (kdf.memoryKiB > 1 << 20 || kdf.passes > 20)
    throw new ProfileError('profile_damaged', 'The key file asks for too much memory.');
  const sealed = fromBase64Url(ciphertext);
  const decipher = createDecipheriv(
    'aes-256-gcm',
    derive(passphrase, fromBase64Url(kdf.salt), kdf),
    fromBase64Url(nonce),
  )
    .setAAD(Buffer.from(aad))
    .setAuthTag(sealed.slice(-16));
  try {
    return JSON.parse(
      Buffer.concat([decipher.update(sealed.slice(0, -16)), decipher.final()]).toString('utf8'),
    );
  } catch {
    throw new ProfileError('passphrase_wrong', 'The passphrase does not open the keys.');
  }
}

/** Files a fresh enrolment. Never overwrites: private keys could be lost. */
export function saveProfile(
  folder: string,
  keys: EnrolledKeys,
  options: { readonly ca?: string; readonly passphrase?: string },
): void {
  if (existsSync(join(folder, 'profile.json'))) {
    throw new ProfileError('profile_exists', `There is a profile in ${folder} already; choose another name.`);
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const plain = {
    signingKey: toBase64Url(keys.signingKey),
    kem: KEMS[keys.kem].id,
    kemKey: toBase64Url(keys.kemPrivateKey),
  };
  write(
    join(folder, 'keys.json'),
    options.passphrase === undefined ? plain : sealKeys(plain, options.passphrase, keys.personId),
  );
  write(join(folder, 'profile.json'), {
    version: 1,
    gatewayUrl: keys.gatewayUrl,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    tenantId: keys.tenant.tenantId,
    identityKey: toBase64Url(keys.tenant.identityKey),
    checkpointKey: keys.tenant.checkpointKey,
    receiptKey: keys.tenant.receiptKey,
    logOrigin: keys.tenant.logOrigin,
    personId: keys.personId,
    address: keys.address,
    certificate: toBase64Url(keys.certificate),
  });
}

export interface Profile {
  readonly folder: string;
  readonly ca: string | undefined;
  readonly tenant: Identity['tenant'];
  readonly gatewayUrl: string;
  readonly address: Address;
  readonly personId: Identity['personId'];
}

/** What is known without the private keys. */
export function readProfile(folder: string): Profile {
  if (!existsSync(join(folder, 'profile.json'))) {
    throw new ProfileError(
      'profile_missing',
      `There is no profile in ${folder}. Enrol with \`astis enrol CODE\` first.`,
    );
  }
  const file = read(join(folder, 'profile.json'));
  if (!Value.Check(ProfileFile, file))
    throw new ProfileError('profile_damaged', `${folder}/profile.json is not a profile.`);
  return {
    folder,
    ca: file.ca,
    gatewayUrl: file.gatewayUrl,
    tenant: {
      tenantId: parseTenantId(file.tenantId),
      identityKey: fromBase64Url(file.identityKey) as SigningPublicKey,
      checkpointKey: file.checkpointKey,
      receiptKey: file.receiptKey,
      logOrigin: file.logOrigin,
    },
    personId: parsePersonId(file.personId),
    address: parseAddress(file.address),
  };
}

/** The identity, with the private keys. */
export async function unlockProfile(profile: Profile, passphrase?: string): Promise<Identity> {
  const path = join(profile.folder, 'keys.json');
  const keys = openKeys(read(path), passphrase, profile.personId);
  if (!Value.Check(PlainKeys, keys)) throw new ProfileError('profile_damaged', `${path} is not a key file.`);
  const signingKey = fromBase64Url(keys.signingKey) as SigningPrivateKey;
  return {
    gatewayUrl: profile.gatewayUrl,
    tenant: profile.tenant,
    personId: profile.personId,
    address: profile.address,
    signingKey,
    signer: localSigner(signingKey),
    unwrapper: await localUnwrapper(kemById(keys.kem), fromBase64Url(keys.kemKey) as KemPrivateKey),
  };
}

/** The profile's pins; what is set is on disk at once. */
export function profilePins({ folder }: Profile): Pins {
  const path = join(folder, 'pins.json');
  const file = existsSync(path) ? read(path) : {};
  const pins = new Map<string, KeyId>(
    typeof file === 'object' && file !== null
      ? Object.entries(file).map(([address, keyId]) => [address, parseKeyId(String(keyId))])
      : [],
  );
  return {
    get: (address) => pins.get(address),
    set(address, keyId) {
      if (pins.get(address) === keyId) return;
      pins.set(address, keyId);
      write(path, Object.fromEntries(pins));
    },
  };
}

export const receiptsPath = ({ folder }: Pick<Profile, 'folder'>): string => join(folder, 'receipts.jsonl');

export function keepReceipt(profile: Profile, receipt: Receipt): void {
  appendFileSync(receiptsPath(profile), `${JSON.stringify(receipt)}\n`, { mode: 0o600, flush: true });
}
