import fc from 'fast-check';
import type { Message } from 'openpgp';
import { config, createMessage, encrypt, enums, generateKey, readMessage } from 'openpgp';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Between, ServiceKey, ServiceMessageErrorCode } from './service-message.ts';
import {
  generateServiceKey,
  MAX_MESSAGE_BYTES,
  MAX_PAYLOAD_BYTES,
  MAX_SKEW_SECONDS,
  openRequest,
  openResponse,
  readServiceKey,
  readServicePeer,
  ServiceMessageError,
  sealRequest,
  sealResponse,
} from './service-message.ts';
import { STRICT } from './service-message-keys.ts';

const newService = async (name: string): Promise<ServiceKey> =>
  readServiceKey((await generateServiceKey(name)).privateKey);

async function refusal(attempt: Promise<unknown>): Promise<ServiceMessageErrorCode> {
  try {
    await attempt;
  } catch (error) {
    if (error instanceof ServiceMessageError) return error.code;
    throw error;
  }
  throw new Error('it was taken');
}

describe('service messages', () => {
  let gateway: ServiceKey;
  let cvs: ServiceKey;
  let stranger: ServiceKey;
  let there: Between;
  let here: Between;

  beforeAll(async () => {
    [gateway, cvs, stranger] = await Promise.all(
      ['gateway', 'cvs', 'stranger'].map(newService) as [
        Promise<ServiceKey>,
        Promise<ServiceKey>,
        Promise<ServiceKey>,
      ],
    );
    there = { self: gateway, peer: cvs };
    here = { self: cvs, peer: gateway };
  });

  const request = (method = 'm', params: object = { x: 1 }, between = there) =>
    sealRequest({ method, params }, between);

  /** Any payload, in a message that is right in all else. */
  const sealed = async (payload: Uint8Array, signer = gateway, receiver = cvs): Promise<Uint8Array> =>
    encrypt({
      message: await createMessage({ binary: payload }),
      encryptionKeys: receiver.publicKey,
      signingKeys: signer.privateKey,
      format: 'binary',
      config: STRICT,
    });
  const seconds = () => Math.floor(Date.now() / 1000);
  const payload = (changes: object = {}) => ({
    v: 1,
    from: gateway.fingerprint,
    to: cvs.fingerprint,
    at: seconds(),
    id: 'AAAAAAAAAAAAAAAAAAAAAA',
    method: 'm',
    params: {},
    ...changes,
  });
  const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

  test('carry a request there and its answer back, also a large one', async () => {
    const asked = await request('rewrap', { text: 'x'.repeat(1_000_000) });
    const opened = await openRequest(asked.message, here);
    expect(opened).toMatchObject({
      method: 'rewrap',
      params: { text: 'x'.repeat(1_000_000) },
      hash: asked.hash,
    });
    const answer = await sealResponse({ result: [3] }, opened, here);
    expect(await openResponse(answer, asked, there)).toEqual({ result: [3] });
    const problem = { code: 'expired', detail: 'It has expired.' };
    expect(await openResponse(await sealResponse({ problem }, opened, here), asked, there)).toEqual({
      problem,
    });
  });

  test('each request has an id of its own', async () => {
    const ids = await Promise.all(
      Array.from({ length: 20 }, async () => (await openRequest((await request()).message, here)).id),
    );
    expect(new Set(ids).size).toBe(20);
  });

  test('nothing of the payload can be read on the way', async () => {
    const { message } = await request('a-telling-method', { secret: 'a-telling-parameter' });
    const text = Buffer.from(message).toString('latin1');
    expect(text).not.toContain('telling');
  });

  describe('a request is refused', () => {
    test('at another receiver, who has the same gateway', async () => {
      const { message } = await request();
      expect(await refusal(openRequest(message, { self: stranger, peer: gateway }))).toBe('wrong_receiver');
    });

    test('encrypted anew to another receiver: the signed payload says whom it was for', async () => {
      // What a receiver gone bad can make of a message: the payload that the gateway signed, for other eyes.
      const forwarded = await sealed(bytes(payload()), gateway, stranger);
      expect(await refusal(openRequest(forwarded, { self: stranger, peer: gateway }))).toBe('wrong_receiver');
    });

    test('signed by somebody else, or naming another sender', async () => {
      const forged = await request('m', {}, { self: stranger, peer: cvs });
      expect(await refusal(openRequest(forged.message, here))).toBe('wrong_sender');
      expect(await refusal(openRequest(await sealed(bytes(payload()), stranger), here))).toBe('wrong_sender');
      const renamed = await sealed(bytes(payload({ from: stranger.fingerprint })));
      expect(await refusal(openRequest(renamed, here))).toBe('wrong_sender');
    });

    test('made too long ago or in the future', async () => {
      for (const off of [-(MAX_SKEW_SECONDS + 2), MAX_SKEW_SECONDS + 2]) {
        const { message } = await request('m', {}, { ...there, now: Date.now() + off * 1000 });
        // A signature of the future is refused by the library before the payload is looked at.
        expect(['message_stale', 'message_signature_invalid']).toContain(
          await refusal(openRequest(message, here)),
        );
      }
      expect(await refusal(openRequest(await sealed(bytes(payload({ at: seconds() + 100 }))), here))).toBe(
        'message_stale',
      );
      for (const off of [-(MAX_SKEW_SECONDS - 2), MAX_SKEW_SECONDS - 2]) {
        const { message } = await request('m', {}, { ...there, now: Date.now() + off * 1000 });
        expect((await openRequest(message, here)).method).toBe('m');
      }
    });

    test('with other members than it must have, or of other kinds', async () => {
      const bad = [
        { v: 2 },
        { extra: 1 },
        { id: undefined },
        { id: 'short' },
        { id: '!!!!!!!!!!!!!!!!!!!!!!' },
        { at: 'now' },
        { at: 1.5 },
        { method: 7 },
        { method: '' },
        { method: 'm'.repeat(65) },
      ];
      for (const change of bad)
        expect([change, await refusal(openRequest(await sealed(bytes(payload(change))), here))]).toEqual([
          change,
          'message_malformed',
        ]);
      for (const text of ['', '[]', 'null', '"x"', '{', '\ufeff{}'])
        expect(await refusal(openRequest(await sealed(new TextEncoder().encode(text)), here))).toBe(
          'message_malformed',
        );
      expect(await refusal(openRequest(await sealed(Uint8Array.of(0x22, 0xff, 0x22)), here))).toBe(
        'message_malformed',
      );
    });

    test('with any byte of it changed', async () => {
      const { message } = await request();
      for (let at = 0; at < message.length; at++) {
        const changed = Uint8Array.from(message);
        changed[at] = (changed[at] ?? 0) ^ 0x40;
        expect(await refusal(openRequest(changed, here))).toMatch(/^(message_malformed|wrong_receiver)$/);
      }
    });

    test('cut off, or with something after it', async () => {
      const { message } = await request();
      for (const length of [0, 1, 50, message.length - 1])
        expect(await refusal(openRequest(message.slice(0, length), here))).toBe('message_malformed');
      const twice = new Uint8Array([...message, ...message]);
      expect(await refusal(openRequest(twice, here))).toBe('message_malformed');
    });

    test('too large, before it is looked at; and it is not made either', async () => {
      expect(await refusal(openRequest(new Uint8Array(MAX_MESSAGE_BYTES + 1), here))).toBe(
        'message_too_large',
      );
      expect(await refusal(request('m', { text: 'x'.repeat(MAX_PAYLOAD_BYTES) }))).toBe('message_too_large');
    });
  });

  describe('OpenPGP beside the one suite is refused', () => {
    const encrypted = async (options: object, message?: Message<Uint8Array>): Promise<Uint8Array> => {
      const made: unknown = await encrypt({
        message: message ?? (await createMessage({ binary: bytes(payload()) })),
        encryptionKeys: cvs.publicKey,
        signingKeys: gateway.privateKey,
        format: 'binary',
        config: STRICT,
        ...options,
      });
      if (!(made instanceof Uint8Array)) throw new Error('not bytes');
      return made;
    };
    const taken = async (message: Uint8Array) => refusal(openRequest(message, here));

    test.each([
      ['zip', enums.compression.zip],
      ['zlib', enums.compression.zlib],
    ])('%s, before anything is inflated', async (_name, preferredCompressionAlgorithm) => {
      // A thousandfold: 6 MB of zeros in a few kilobytes.
      const bomb = await createMessage({ binary: new Uint8Array(6_000_000) });
      const { additionalAllowedPackets: _refused, ...rest } = STRICT;
      const compressed = await encrypted(
        { config: { ...config, ...rest, preferredCompressionAlgorithm, additionalAllowedPackets: [] } },
        bomb,
      );
      expect(compressed.length).toBeLessThan(60_000);
      expect(await taken(compressed)).toBe('message_malformed');
    });

    test('a passphrase beside or in place of the key', async () => {
      const loose = { ...STRICT, additionalAllowedPackets: [] };
      expect(await taken(await encrypted({ passwords: ['secret'], config: loose }))).toBe(
        'message_malformed',
      );
      expect(await taken(await encrypted({ passwords: ['secret'], encryptionKeys: [], config: loose }))).toBe(
        'message_malformed',
      );
    });

    test('a message without signature, with two, or in the clear', async () => {
      expect(await taken(await encrypted({ signingKeys: [] }))).toBe('message_malformed');
      expect(
        await taken(await encrypted({ signingKeys: [gateway.privateKey, stranger.privateKey] })),
      ).not.toBe('taken');
      const signed = await (await createMessage({ binary: bytes(payload()) })).sign(
        [gateway.privateKey],
        undefined,
        undefined,
        undefined,
        undefined,
        undefined,
        STRICT,
      );
      const clear = signed.write();
      if (!(clear instanceof Uint8Array)) throw new Error('not bytes');
      expect(await taken(clear)).toBe('message_malformed');
    });

    test('a second receiver, who could read along', async () => {
      expect(await taken(await encrypted({ encryptionKeys: [cvs.publicKey, stranger.publicKey] }))).toBe(
        'message_malformed',
      );
    });

    test.each([
      ['the older encryption (SEIPD v1)', { aeadProtect: false }, 'version', 1],
      ['another AEAD', { preferredAEADAlgorithm: enums.aead.ocb }, 'aeadAlgorithm', enums.aead.ocb],
    ])('%s', async (_name, change, member, value) => {
      const other = { ...STRICT, ...change };
      const key = await generateKey({
        userIDs: [{ name: 'x' }],
        type: 'curve25519',
        format: 'object',
        config: other,
      });
      const self = await readServiceKey(key.privateKey.armor());
      const message = await encrypted({ encryptionKeys: self.publicKey, config: other });
      const [, seipd] = (await readMessage({ binaryMessage: message, config: STRICT })).packets;
      expect(seipd).toMatchObject({ [member]: value });
      expect(await refusal(openRequest(message, { self, peer: gateway }))).toBe('message_malformed');
    });

    test('keys of other kinds, locked ones, and what is no key', async () => {
      const make = (options: object) =>
        generateKey({
          userIDs: [{ name: 'x' }],
          format: 'armored',
          config: STRICT,
          type: 'curve25519',
          ...options,
        });
      const locked = await make({ passphrase: 'secret' });
      const v4 = await make({ config: { ...STRICT, v6Keys: false } });
      const p256 = await make({ type: 'ecc', curve: 'nistP256' });
      for (const key of [locked, v4, p256])
        expect(await refusal(readServiceKey(key.privateKey))).toBe('service_key_invalid');
      for (const key of [v4, p256])
        expect(await refusal(readServicePeer(key.publicKey))).toBe('service_key_invalid');
      const { privateKey, publicKey } = await generateServiceKey('x');
      // A private key is not to be handed out as a peer's.
      expect(await refusal(readServicePeer(privateKey))).toBe('service_key_invalid');
      expect(await refusal(readServiceKey(publicKey))).toBe('service_key_invalid');
      for (const text of ['', 'no key', 'x'.repeat(100_000)])
        expect(await refusal(readServicePeer(text))).toBe('service_key_invalid');
    });
  });

  describe('an answer is refused', () => {
    test('to another request, also to one of the same method and parameters', async () => {
      const [first, second] = [await request(), await request()];
      const answer = await sealResponse({ result: 1 }, await openRequest(first.message, here), here);
      expect(await refusal(openResponse(answer, second, there))).toBe('wrong_request');
    });

    test('of another method', async () => {
      const asked = await request();
      const opened = await openRequest(asked.message, here);
      const answer = await sealResponse({ result: 1 }, { ...opened, method: 'other' }, here);
      expect(await refusal(openResponse(answer, asked, there))).toBe('wrong_request');
    });

    test('from somebody else, for somebody else, changed, or stale', async () => {
      const asked = await request();
      const opened = await openRequest(asked.message, here);
      const forged = await sealResponse({ result: 1 }, opened, { self: stranger, peer: gateway });
      expect(await refusal(openResponse(forged, asked, there))).toBe('wrong_sender');
      const astray = await sealResponse({ result: 1 }, opened, { self: cvs, peer: stranger });
      expect(await refusal(openResponse(astray, asked, there))).toBe('wrong_receiver');
      const answer = await sealResponse({ result: 1 }, opened, here);
      const changed = Uint8Array.from(answer);
      changed[changed.length - 20] = (changed[changed.length - 20] ?? 0) ^ 1;
      expect(await refusal(openResponse(changed, asked, there))).toBe('message_malformed');
      const old = await sealResponse({ result: 1 }, opened, { ...here, now: Date.now() - 120_000 });
      expect(await refusal(openResponse(old, asked, there))).toBe('message_stale');
    });

    test('a request sent back as its own answer', async () => {
      const asked = await request();
      expect(await refusal(openResponse(asked.message, asked, there))).toBe('wrong_receiver');
    });

    test('with both a result and a problem, with neither, or with a problem of another shape', async () => {
      const asked = await request();
      const base = async (rest: object) => {
        const { id: _id, params: _params, ...route } = payload();
        const hash = Buffer.from(asked.hash).toString('base64url');
        const answer = {
          ...route,
          from: cvs.fingerprint,
          to: gateway.fingerprint,
          requestHash: hash,
          ...rest,
        };
        return refusal(openResponse(await sealed(bytes(answer), cvs, gateway), asked, there));
      };
      const problem = { code: 'c', detail: 'd' };
      for (const rest of [
        {},
        { result: 1, problem },
        { problem: 'c' },
        { problem: { code: 'c' } },
        { problem: { ...problem, more: 1 } },
        { problem: { ...problem, detail: 'x'.repeat(1001) } },
      ])
        expect(await base(rest)).toBe('message_malformed');
    });
  });

  test('whatever bytes come, they are refused with a typed error', async () => {
    const { message } = await request();
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 600 }),
          fc
            .tuple(fc.nat(message.length - 1), fc.uint8Array({ minLength: 1, maxLength: 8 }), fc.nat(20))
            .map(([at, insert, drop]) =>
              Uint8Array.from([...message.slice(0, at), ...insert, ...message.slice(at + drop)]),
            ),
        ),
        async (input) => {
          fc.pre(Buffer.compare(input, message) !== 0);
          await refusal(openRequest(input, here));
        },
      ),
      { numRuns: 500 },
    );
  });

  test('whatever payload a peer signs, it is read or refused with a typed error', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(
          fc.constantFrom('v', 'from', 'to', 'at', 'id', 'method', 'params', 'x'),
          fc.jsonValue(),
        ),
        async (changes) => {
          const attempt = openRequest(await sealed(bytes({ ...payload(), ...changes })), here);
          const outcome = await attempt.then(
            () => 'read',
            (error: unknown) => error,
          );
          if (outcome !== 'read') expect(outcome).toBeInstanceOf(ServiceMessageError);
        },
      ),
      { numRuns: 200 },
    );
  });
});
