/** A development CA: TLS certificates for the stack's own processes on this computer. Not for production. */
import 'reflect-metadata';
import type { webcrypto } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' } as const;
const YEAR_MS = 365 * 86_400_000;

export interface TlsFiles {
  /** Paths of PEM files. */
  readonly cert: string;
  readonly key: string;
}

export interface DevelopmentCa {
  /** Path of the CA's certificate, PEM. */
  readonly cert: string;
  /** Certificate and key for `name`; those that are there already are kept. */
  issue(name: string, usage: 'server' | 'client'): Promise<TlsFiles>;
}

async function pemOf(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}

async function readKey(path: string): Promise<webcrypto.CryptoKey> {
  const [der] = x509.PemConverter.decode(readFileSync(path, 'utf8'));
  if (der === undefined) throw new Error(`${path} has no private key`);
  return crypto.subtle.importKey('pkcs8', der, ALGORITHM, true, ['sign']);
}

const newKeys = () => crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
const validity = () => ({
  notBefore: new Date(Date.now() - 60_000),
  notAfter: new Date(Date.now() + YEAR_MS),
});
const serial = () => `01${Buffer.from(crypto.getRandomValues(new Uint8Array(15))).toString('hex')}`;
const save = (path: string, text: string) => writeFileSync(path, text, { mode: 0o600 });

/** The CA of a folder, made on the first call. */
export async function developmentCa(folder: string): Promise<DevelopmentCa> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const paths = { cert: join(folder, 'ca.pem'), key: join(folder, 'ca-key.pem') };
  if (!existsSync(paths.cert)) {
    const keys = await newKeys();
    const made = await x509.X509CertificateGenerator.createSelfSigned({
      ...validity(),
      serialNumber: serial(),
      name: 'CN=ASTIS development CA',
      keys,
      signingAlgorithm: SIGNING,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    save(paths.key, await pemOf(keys.privateKey));
    save(paths.cert, made.toString('pem'));
  }
  const ca = new x509.X509Certificate(readFileSync(paths.cert, 'utf8'));
  const caKey = await readKey(paths.key);
  return {
    cert: paths.cert,
    async issue(name, usage) {
      const files = { cert: join(folder, `${name}.pem`), key: join(folder, `${name}-key.pem`) };
      if (existsSync(files.cert)) return files;
      const keys = await newKeys();
      const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
      const certificate = await x509.X509CertificateGenerator.create({
        ...validity(),
        serialNumber: serial(),
        subject: `CN=${name}`,
        issuer: ca.subject,
        publicKey: keys.publicKey,
        signingKey: caKey,
        signingAlgorithm: SIGNING,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([usage === 'server' ? serverAuth : clientAuth], true),
          new x509.SubjectAlternativeNameExtension([
            { type: 'dns', value: 'localhost' },
            { type: 'ip', value: '127.0.0.1' },
          ]),
          await x509.AuthorityKeyIdentifierExtension.create(ca.publicKey),
        ],
      });
      save(files.key, await pemOf(keys.privateKey));
      save(files.cert, certificate.toString('pem'));
      return files;
    },
  };
}
