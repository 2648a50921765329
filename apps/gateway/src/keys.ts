/** The gateway's own keys. None of them opens anything: they sign tokens, receipts and service messages. */
import type { KeyObject } from 'node:crypto';
import {
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  generateKeyPairSync,
  randomBytes,
  sign,
} from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NoteSigningKey } from '@astis/audit';
import { formatVerifierKey, verifierKey } from '@astis/audit';
import type { ServiceKey } from '@astis/crypto/service-message';
import { generateServiceKey, readServiceKey } from '@astis/crypto/service-message';

export interface GatewayKeys {
  readonly tokenKey: { readonly privateKey: KeyObject; readonly publicKey: KeyObject };
  readonly nonceKey: KeyObject;
  readonly receiptKey: NoteSigningKey;
  /** C2SP verifier key of the receipts. */
  readonly receiptVerifier: string;
  readonly service: ServiceKey;
  /** Armored public half, for the CVS's configuration. */
  readonly servicePublicKey: string;
}

/** Reads a file of the folder, or makes it. Two processes that start at once end up with the same content. */
async function kept(folder: string, name: string, make: () => string | Promise<string>): Promise<string> {
  const path = join(folder, name);
  if (!existsSync(path)) {
    const fresh = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
    writeFileSync(fresh, await make(), { mode: 0o600, flag: 'wx', flush: true });
    try {
      linkSync(fresh, path);
    } catch (error) {
      if (!existsSync(path)) throw error;
    } finally {
      rmSync(fresh, { force: true });
    }
  }
  return readFileSync(path, 'utf8');
}

const newEd25519 = (): string =>
  generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();

function pair(pem: string): { privateKey: KeyObject; publicKey: KeyObject } {
  const privateKey = createPrivateKey(pem);
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

/** The 32 bytes of an Ed25519 public key. */
const rawPublicKey = (key: KeyObject): Uint8Array =>
  new Uint8Array(Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url'));

/** Loads the keys of `folder`; those that are not there yet are made, readable for us alone. */
export async function loadKeys(folder: string, logOrigin: string): Promise<GatewayKeys> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const tokenKey = pair(await kept(folder, 'token-key.pem', newEd25519));
  const receipt = pair(await kept(folder, 'receipt-key.pem', newEd25519));
  const nonce = await kept(folder, 'nonce-secret', () => randomBytes(32).toString('base64url'));
  const service: { privateKey: string; publicKey: string } = JSON.parse(
    await kept(folder, 'service-key.json', async () => JSON.stringify(await generateServiceKey('gateway'))),
  );
  const name = `${logOrigin}/receipts`;
  const publicKey = rawPublicKey(receipt.publicKey);
  return {
    tokenKey,
    nonceKey: createSecretKey(Buffer.from(nonce, 'base64url')),
    receiptKey: {
      name,
      publicKey,
      sign: (message) => new Uint8Array(sign(null, message, receipt.privateKey)),
    },
    receiptVerifier: formatVerifierKey(verifierKey(name, publicKey)),
    service: await readServiceKey(service.privateKey),
    servicePublicKey: service.publicKey,
  };
}
