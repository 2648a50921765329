/**
 * A certificate authority for development and tests: it lets `npm start` and the tests run TLS 1.3 and mutual TLS as a
 * real deployment does, without any real authority. Its certificates are ECDSA P-256 with SHA-256 (RFC 5280).
 */
import 'reflect-metadata';
import type { webcrypto } from 'node:crypto';
import { randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

/** PEM text: the certificate and its private key (PKCS #8). */
export interface Credentials {
  readonly certificate: string;
  readonly privateKey: string;
}

export interface CertificateAuthority extends Credentials {
  /** A certificate for a server under these DNS names and IP addresses; the first is also its common name. */
  issueServer(names: readonly [string, ...string[]]): Promise<Credentials>;
  /** A certificate with which a client of that name answers in mutual TLS. */
  issueClient(name: string): Promise<Credentials>;
}

const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' };
const SIGNING_ALGORITHM = { name: 'ECDSA', hash: 'SHA-256' };
const DAY_MS = 86_400_000;
const AUTHORITY_DAYS = 3650;
/** Browsers and libraries refuse server certificates that live longer than 398 days. */
const LEAF_DAYS = 397;

const newKeyPair = () => crypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);

async function privateKeyPem(key: webcrypto.CryptoKey): Promise<string> {
  return PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}

/** Positive, as RFC 5280 4.1.2.2 wants it, of a fixed length, and with 126 random bits. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x7f) | 0x40, 0);
  return bytes.toString('hex');
}

function validity(days: number): { readonly notBefore: Date; readonly notAfter: Date } {
  const now = Date.now();
  // A day back, for clocks that differ and for tests that step them back.
  return { notBefore: new Date(now - DAY_MS), notAfter: new Date(now + days * DAY_MS) };
}

function withIssuing(
  authority: Credentials,
  root: X509Certificate,
  rootKey: webcrypto.CryptoKey,
): CertificateAuthority {
  async function issue(
    name: string,
    usage: ExtendedKeyUsage,
    names: readonly string[],
  ): Promise<Credentials> {
    const keys = await newKeyPair();
    const certificate = await X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      issuer: root.subject,
      // An array is escaped by the library; text would be parsed as a distinguished name.
      subject: [{ CN: [name] }],
      ...validity(LEAF_DAYS),
      publicKey: keys.publicKey,
      signingKey: rootKey,
      signingAlgorithm: SIGNING_ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([usage]),
        new SubjectAlternativeNameExtension(
          names.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value })),
        ),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
        await AuthorityKeyIdentifierExtension.create(root.publicKey),
      ],
    });
    return { certificate: certificate.toString('pem'), privateKey: await privateKeyPem(keys.privateKey) };
  }
  return {
    ...authority,
    issueServer: (names) => issue(names[0], ExtendedKeyUsage.serverAuth, names),
    issueClient: (name) => issue(name, ExtendedKeyUsage.clientAuth, [name]),
  };
}

/** Makes a new authority: valid for ten years, and good for end certificates only. */
export async function createCertificateAuthority(
  name = 'ASTIS development CA',
): Promise<CertificateAuthority> {
  const keys = await newKeyPair();
  const root = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [name] }],
    ...validity(AUTHORITY_DAYS),
    keys,
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const credentials = {
    certificate: root.toString('pem'),
    privateKey: await privateKeyPem(keys.privateKey),
  };
  return withIssuing(credentials, root, keys.privateKey);
}

/** An authority kept from an earlier run. Rejects where the private key is not the certificate's. */
export async function openCertificateAuthority(credentials: Credentials): Promise<CertificateAuthority> {
  const root = new X509Certificate(credentials.certificate);
  const key = await crypto.subtle.importKey(
    'pkcs8',
    PemConverter.decodeFirst(credentials.privateKey),
    KEY_ALGORITHM,
    true,
    ['sign'],
  );
  const proof = crypto.getRandomValues(new Uint8Array(32));
  const signature = await crypto.subtle.sign(SIGNING_ALGORITHM, key, proof);
  const publicKey = await root.publicKey.export();
  if (!(await crypto.subtle.verify(SIGNING_ALGORITHM, publicKey, signature, proof))) {
    throw new Error('the private key does not belong to the certificate of the authority');
  }
  return withIssuing(credentials, root, key);
}
