/**
 * Service keys: OpenPGP v6 (RFC 9580), Ed25519 to sign and an X25519 subkey to encrypt to, kept as armored text. They
 * have no passphrase: the file's mode guards them, as it does the TLS key beside them.
 */
import type { PrivateKey, PublicKey } from 'openpgp';
import { config, enums, generateKey, readKey, readPrivateKey } from 'openpgp';
import { ServiceMessageError } from './service-message-error.ts';

/** Takes the place of packets that are refused before they are looked at: nothing is decompressed or stretched. */
const refused = (tag: enums.packet) =>
  class {
    static readonly tag = tag;
    read(): never {
      throw new Error('a packet of a kind that is refused');
    }
  };

/** One suite, and errors where the library would otherwise be forgiving. */
export const STRICT: typeof config = {
  ...config,
  v6Keys: true,
  aeadProtect: true,
  preferredAEADAlgorithm: enums.aead.gcm,
  preferredSymmetricAlgorithm: enums.symmetric.aes256,
  preferredHashAlgorithm: enums.hash.sha512,
  preferredCompressionAlgorithm: enums.compression.uncompressed,
  nonDeterministicSignaturesViaNotation: false,
  enforceGrammar: true,
  ignoreUnsupportedPackets: false,
  ignoreMalformedPackets: false,
  allowUnauthenticatedMessages: false,
  maxDecompressedMessageSize: 0,
  additionalAllowedPackets: [
    refused(enums.packet.compressedData),
    refused(enums.packet.symEncryptedSessionKey),
    refused(enums.packet.symmetricallyEncryptedData),
    refused(enums.packet.aeadEncryptedData),
  ],
};

/** Armored OpenPGP keys are short; what is longer isn't one of ours. */
const MAX_KEY_TEXT = 16_384;

const invalid = (why: string): ServiceMessageError => new ServiceMessageError('service_key_invalid', why);

/** The other side, as its public key says. */
export interface ServicePeer {
  /** 64 hex digits (SHA-256, RFC 9580 §5.5.4.3). */
  readonly fingerprint: string;
  readonly publicKey: PublicKey;
  readonly signingKeyId: string;
  /** Of the X25519 subkey, in hex. */
  readonly encryptionFingerprint: string;
}

/** This side. */
export interface ServiceKey extends ServicePeer {
  readonly privateKey: PrivateKey;
}

export interface ServiceKeyText {
  /** Armored; keep it in a file of mode 0600. */
  readonly privateKey: string;
  /** Armored. */
  readonly publicKey: string;
  readonly fingerprint: string;
}

/** A key that is made by a clock that runs ahead must serve a peer whose clock doesn't: it is dated a day back. */
const BACKDATED_MS = 86_400_000;

/** Makes a service key. The name is for people who look at it with OpenPGP tools; nothing depends on it. */
export async function generateServiceKey(name: string): Promise<ServiceKeyText> {
  const { privateKey, publicKey } = await generateKey({
    userIDs: [{ name }],
    type: 'curve25519',
    format: 'object',
    date: new Date(Date.now() - BACKDATED_MS),
    config: STRICT,
  });
  return {
    privateKey: privateKey.armor(),
    publicKey: publicKey.armor(),
    fingerprint: publicKey.getFingerprint(),
  };
}

async function peerOf(publicKey: PublicKey): Promise<ServicePeer> {
  // No date: these keys don't expire, and one that was made a second ago by a faster clock is as good.
  const signing = await publicKey.getSigningKey(undefined, null, undefined, STRICT);
  const encryption = await publicKey.getEncryptionKey(undefined, null, undefined, STRICT);
  const fingerprint = publicKey.getFingerprint();
  if (
    fingerprint.length !== 64 ||
    signing.getAlgorithmInfo().algorithm !== 'ed25519' ||
    encryption.getAlgorithmInfo().algorithm !== 'x25519'
  ) {
    throw invalid('a service key is OpenPGP v6 with Ed25519 and X25519');
  }
  return {
    fingerprint,
    publicKey,
    signingKeyId: signing.getKeyID().toHex(),
    encryptionFingerprint: encryption.getFingerprint(),
  };
}

async function read<T>(text: string, parse: (text: string) => Promise<T>): Promise<T> {
  if (text.length > MAX_KEY_TEXT) throw invalid('too long for a service key');
  try {
    return await parse(text);
  } catch (error) {
    // The library's message may quote the file; ours never does.
    throw error instanceof ServiceMessageError ? error : invalid('not a service key that can be used');
  }
}

/** Reads an armored public key. @throws ServiceMessageError `service_key_invalid` */
export const readServicePeer = (publicKey: string): Promise<ServicePeer> =>
  read(publicKey, async (armoredKey) => {
    const key = await readKey({ armoredKey, config: STRICT });
    if (key.isPrivate()) throw invalid('a private key where a public one belongs');
    return peerOf(key);
  });

/** Reads an armored private key. @throws ServiceMessageError `service_key_invalid` */
export const readServiceKey = (privateKey: string): Promise<ServiceKey> =>
  read(privateKey, async (armoredKey) => {
    const key = await readPrivateKey({ armoredKey, config: STRICT });
    if (!key.isDecrypted()) throw invalid('a service key has no passphrase');
    return { ...(await peerOf(key.toPublic())), privateKey: key };
  });
