import { localSigner, newSigningKey } from '@astis/crypto';
import { parseTenantId } from '@astis/protocol';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { enrolmentSigner, formatEnrolmentCode, newEnrolmentSecret, parseEnrolmentCode } from './enrolment.ts';
import { SdkError } from './errors.ts';

const code = {
  secret: newEnrolmentSecret(),
  tenantId: parseTenantId('11111111-1111-4111-8111-111111111111'),
  identityKey: localSigner(newSigningKey()).publicKey,
  gatewayUrl: 'https://gateway.test:8443',
};
const text = formatEnrolmentCode(code);

/** Undefined where the code is refused as it should be; anything else thrown fails the test. */
function parsed(candidate: string) {
  try {
    return parseEnrolmentCode(candidate);
  } catch (error) {
    if (error instanceof SdkError && error.code === 'enrolment_code_invalid') return undefined;
    throw error;
  }
}

test('a code comes back as it was, with blanks around it too', () => {
  expect(parseEnrolmentCode(text)).toEqual(code);
  expect(parseEnrolmentCode(` ${text}\n`)).toEqual(code);
});

test('every single changed, missing or added character is found', () => {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  for (let at = 0; at < text.length; at++) {
    for (const character of alphabet.replace(text[at] ?? '', ''))
      expect(parsed(text.slice(0, at) + character + text.slice(at + 1))).toBeUndefined();
    expect(parsed(text.slice(0, at) + text.slice(at + 1))).toBeUndefined();
    expect(parsed(`${text.slice(0, at)}A${text.slice(at)}`)).toBeUndefined();
  }
});

test('what is no code is refused, whatever it is', () => {
  fc.assert(fc.property(fc.string(), (candidate) => parsed(candidate) === undefined));
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      return parsed(`astis-enrol-${Buffer.from(bytes).toString('base64url')}`) === undefined;
    }),
  );
});

test('a gateway is reached by https alone', () => {
  expect(parsed(formatEnrolmentCode({ ...code, gatewayUrl: 'http://gateway.test' }))).toBeUndefined();
});

test('the key of a code depends on its secret alone', () => {
  expect(enrolmentSigner(code.secret).keyId).toBe(enrolmentSigner(code.secret.slice()).keyId);
  expect(enrolmentSigner(newEnrolmentSecret()).keyId).not.toBe(enrolmentSigner(code.secret).keyId);
});
