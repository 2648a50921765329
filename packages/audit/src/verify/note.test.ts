import { concat, utf8 } from '@astis/protocol';
import { ed25519 } from '@noble/curves/ed25519.js';
import { base64 } from '@scure/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AuditError } from '../errors.ts';
import { EMPTY_ROOT } from '../hashes.ts';
import { checkpointText, formatNote, signatureLine, signNote } from '../log/checkpoint.ts';
import { noteKeyPair } from '../log.fixture.ts';
import { formatVerifierKey, hexOf, parseVerifierKey, verifierKey } from '../note-key.ts';
import { parseCheckpointText, verifyTreeHead } from './checkpoint.ts';
import { parseNote, verifyNote } from './note.ts';

// golang.org/x/mod/sumdb/note, note_test.go.
const PETER = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const PETER_SEED = base64.decode('AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz').subarray(1);
const ENOCH = 'EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop';
const TEXT = `If you think cryptography is the answer to your problem,
then you don't know what your problem is.
`;
const PETER_LINE =
  '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';
const ENOCH_LINE =
  '— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n';
const peter = parseVerifierKey(PETER);
const enoch = parseVerifierKey(ENOCH);
const BOTH = `${TEXT}\n${PETER_LINE}${ENOCH_LINE}`;

const coded = (code: string): unknown => expect.objectContaining({ code });
const signerNames = (note: string, keys: Parameters<typeof verifyNote>[1]): string[] =>
  verifyNote(note, keys).signers.map(({ key }) => key.name);

describe("Go's sumdb/note vectors", () => {
  it('verifies one signature and both', () => {
    expect(verifyNote(BOTH, [peter]).text).toBe(TEXT);
    expect(signerNames(BOTH, [peter])).toEqual(['PeterNeumann']);
    expect(signerNames(BOTH, [enoch, peter])).toEqual(['PeterNeumann', 'EnochRoot']);
  });

  it('signs to the same bytes', () => {
    const key = {
      name: 'PeterNeumann',
      publicKey: ed25519.getPublicKey(PETER_SEED),
      sign: (message: Uint8Array) => ed25519.sign(message, PETER_SEED),
    };
    expect(signNote(TEXT, [key])).toBe(`${TEXT}\n${PETER_LINE}`);
    expect(formatVerifierKey(verifierKey(key.name, key.publicKey))).toBe(PETER);
  });

  it('counts a signer once', () => {
    expect(signerNames(`${TEXT}\n${PETER_LINE}${PETER_LINE}${ENOCH_LINE}`, [peter])).toEqual([
      'PeterNeumann',
    ]);
  });

  it('knows nobody without keys', () => {
    expect(() => verifyNote(BOTH, [])).toThrow(coded('unknown_key'));
  });

  it.each([
    ['no signature', TEXT],
    ['no signature line', `${TEXT}\n`],
    ['a line without its newline', `${TEXT}\n${PETER_LINE.slice(0, -1)}`],
    ['a control character', `\u0001${TEXT}\n${PETER_LINE}`],
    ['a carriage return', `${TEXT}\r\n${PETER_LINE}`],
    ['a lone surrogate', `\ud800${TEXT}\n${PETER_LINE}`],
    ['a name with a space', `${TEXT}\n${PETER_LINE.replace('PeterNeumann', 'Peter Neumann')}`],
    ['a name with a no-break space', `${TEXT}\n${PETER_LINE.replace('PeterNeumann', 'Peter\u00a0Neumann')}`],
    ['a name with a plus', `${TEXT}\n${PETER_LINE.replace('PeterNeumann', 'Peter+Neumann')}`],
    ['no name', `${TEXT}\n${PETER_LINE.replace('PeterNeumann', '')}`],
    ['a hyphen for the dash', `${TEXT}\n${PETER_LINE.replace('—', '-')}`],
    ['a line that is no signature', `${TEXT}\n${PETER_LINE}Unexpected line.\n`],
    ['base64 without its padding', `${TEXT}\n${PETER_LINE.replace('=', '')}`],
    ['base64 with bits to spare', `${TEXT}\n${PETER_LINE.replace('AM=', 'AN=')}`],
    ['a signature of nothing', `${TEXT}\n— PeterNeumann x08gow==\n`],
    ['101 signatures', `${TEXT}\n${PETER_LINE.repeat(101)}`],
    ['a text without its newline', `text\n${PETER_LINE}`],
  ])('refuses %s', (_, note) => {
    expect(() => verifyNote(note, [peter])).toThrow(coded('malformed_note'));
  });

  it('takes 100 signatures', () => {
    expect(signerNames(`${TEXT}\n${ENOCH_LINE.repeat(99)}${PETER_LINE}`, [peter])).toEqual(['PeterNeumann']);
  });
});

describe('the example of c2sp.org/signed-note', () => {
  const note = `Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=
`;
  it('is cut at its last empty line', () => {
    const { text, signatures } = parseNote(note);
    expect(text.endsWith('sole:\n\ned è subito sera.\n')).toBe(true);
    expect(signatures.map(({ name, keyId, signature }) => [name, keyId, signature.length])).toEqual([
      ['quasimodo.example/salvatore', '367ba04b', 64],
    ]);
  });
});

describe('the example of c2sp.org/tlog-cosignature', () => {
  const note = `example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
`;
  it('is a checkpoint with a 72-byte cosignature', () => {
    const { text, signatures } = parseNote(note);
    expect(parseCheckpointText(text)).toMatchObject({
      origin: 'example.com/behind-the-sofa',
      size: 20_852_163,
    });
    expect(signatures.map(({ signature }) => signature.length)).toEqual([64, 72]);
    expect(checkpointText('example.com/behind-the-sofa', 20_852_163, parseCheckpointText(text).root)).toBe(
      text,
    );
  });
});

describe('a signature that does not hold', () => {
  it('refuses the whole note when the key is trusted, whatever the others say', () => {
    const forged = PETER_LINE.replace('x08go/ZJ', 'x08go/ZK');
    expect(() => verifyNote(`${TEXT}\n${forged}${ENOCH_LINE}`, [peter, enoch])).toThrow(
      coded('bad_signature'),
    );
    expect(signerNames(`${TEXT}\n${forged}${ENOCH_LINE}`, [enoch])).toEqual(['EnochRoot']);
  });

  it('is ignored under the name or the id alone of a trusted key', () => {
    const otherId = PETER_LINE.replace('x08g', 'xxxx');
    const otherName = PETER_LINE.replace('PeterNeumann', 'CarmenSandiego');
    expect(() => verifyNote(`${TEXT}\n${otherId}`, [peter])).toThrow(coded('unknown_key'));
    expect(() => verifyNote(`${TEXT}\n${otherName}`, [peter])).toThrow(coded('unknown_key'));
  });

  it('does not hold on another text', () => {
    expect(() => verifyNote(`${TEXT.replace('you', 'we')}\n${PETER_LINE}`, [peter])).toThrow(
      coded('bad_signature'),
    );
    expect(() => verifyNote(`${TEXT}\n\n${PETER_LINE}`, [peter])).toThrow(coded('bad_signature'));
  });

  it('never lets a changed character through', () => {
    const note = `${TEXT}\n${PETER_LINE}`;
    for (let at = 0; at < note.length; at++) {
      const changed = `${note.slice(0, at)}${note[at] === 'x' ? 'y' : 'x'}${note.slice(at + 1)}`;
      expect(() => verifyNote(changed, [peter]), changed).toThrow(AuditError);
    }
  });
});

describe('cosignatures', () => {
  const seed = utf8('0123456789abcdef0123456789abcdef');
  const publicKey = ed25519.getPublicKey(seed);
  const witness = verifierKey('witness.example/w1', publicKey, 'cosignature/v1');
  const log = noteKeyPair('log.example/1', 'log');
  const text = checkpointText('log.example/1', 7, EMPTY_ROOT);

  function cosign(time: bigint, message = `cosignature/v1\ntime ${time}\n${text}`, tail = 0): string {
    const stamp = new Uint8Array(8);
    new DataView(stamp.buffer).setBigUint64(0, time);
    const id = Uint8Array.from(witness.keyId.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
    const signature = ed25519.sign(utf8(message), seed);
    return `\u2014 ${witness.name} ${base64.encode(concat(id, stamp, signature, new Uint8Array(tail)))}\n`;
  }
  const noteWith = (line: string): string =>
    formatNote(text, [signNote(text, [log.signing]).slice(text.length + 1), line]);

  it('are verified with their time', () => {
    const { signers } = verifyTreeHead(noteWith(cosign(1_679_315_147n)), [log.verifier, witness]);
    expect(signers).toEqual([{ key: log.verifier }, { key: witness, time: 1_679_315_147 }]);
  });

  it.each([
    ['over the text alone', cosign(5n, text)],
    ['of another time', cosign(5n, `cosignature/v1\ntime 6\n${text}`)],
    ['with a byte more', cosign(5n, undefined, 1)],
    ['past 2^63', cosign(2n ** 63n)],
  ])('do not hold %s', (_, line) => {
    expect(() => verifyNote(noteWith(line), [witness])).toThrow(coded('bad_signature'));
    expect(signerNames(noteWith(line), [log.verifier])).toEqual(['log.example/1']);
  });

  it('are no note signature, and the other way round, under the very same key', () => {
    const asNoteKey = verifierKey(witness.name, publicKey);
    expect(asNoteKey.keyId).not.toBe(witness.keyId);
    expect(() => verifyNote(noteWith(cosign(5n)), [asNoteKey])).toThrow(coded('unknown_key'));
    const plain = formatNote(text, [signatureLine(witness.name, publicKey, ed25519.sign(utf8(text), seed))]);
    expect(() => verifyNote(plain, [witness])).toThrow(coded('unknown_key'));
  });
});

describe('verifier keys', () => {
  it('come back', () => {
    for (const text of [
      PETER,
      ENOCH,
      'remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2',
    ]) {
      expect(formatVerifierKey(parseVerifierKey(text))).toBe(text);
    }
    expect(
      parseVerifierKey('remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2').algorithm,
    ).toBe('cosignature/v1');
  });

  it('are refused in every part and with every byte moved on, as in sumdb/note', () => {
    const malformed = coded('malformed_key');
    for (let from = 0; from <= PETER.length; from++) {
      for (let to = from + 1; to <= PETER.length; to++) {
        if (from === 0 && to === PETER.length) continue;
        expect(() => parseVerifierKey(PETER.slice(from, to))).toThrow(malformed);
      }
    }
    for (let at = 0; at < PETER.length; at++) {
      const moved = String.fromCharCode((PETER.codePointAt(at) ?? 0) + 1);
      expect(() => parseVerifierKey(PETER.slice(0, at) + moved + PETER.slice(at + 1))).toThrow(malformed);
    }
  });

  it.each([
    [
      'a key of the wrong length',
      'PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==',
    ],
    ['an unknown algorithm', 'PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'],
    ['an id in capitals', PETER.replace('c74f20a3', 'C74F20A3')],
    ['two parts', 'bananas.sigstore.dev+12344556'],
    ['no base64', 'rekor.sigstore.dev+12345678+THIS_IS_NOT_BASE64!'],
    ['nothing', ''],
    ['a mile', `${'x'.repeat(1000)}${PETER}`],
  ])('are not %s', (_, text) => {
    expect(() => parseVerifierKey(text)).toThrow(coded('malformed_key'));
  });

  it('have a name that a note can carry', () => {
    for (const name of ['', 'a b', 'a+b', 'a\nb', 'a\u2003b', '\ud800', 'x'.repeat(256)]) {
      expect(() => verifierKey(name, peter.publicKey), JSON.stringify(name)).toThrow(coded('malformed_key'));
    }
    expect(() => verifierKey('a', peter.publicKey.subarray(1))).toThrow(coded('malformed_key'));
    expect(hexOf(Uint8Array.of(0, 255))).toBe('00ff');
  });
});

describe('checkpoint texts', () => {
  const root = base64.encode(EMPTY_ROOT);
  it('come back', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.uint8Array({ minLength: 32, maxLength: 32 }), (size, hash) => {
        const parsed = parseCheckpointText(checkpointText('astis.example/log', size, hash));
        expect(parsed).toEqual({ origin: 'astis.example/log', size, root: hash });
      }),
    );
  });

  it.each([
    ['nothing', ''],
    ['two lines', 'log\n1\n'],
    ['an extension line', `log\n1\n${root}\nextension\n`],
    ['an empty line more', `log\n1\n${root}\n\n`],
    ['no newline at the end', `log\n1\n${root}`],
    ['an empty origin', `\n1\n${root}\n`],
    ['an origin with a space', `a log\n1\n${root}\n`],
    ['a size with a zero in front', `log\n01\n${root}\n`],
    ['a signed size', `log\n+1\n${root}\n`],
    ['a negative size', `log\n-1\n${root}\n`],
    ['a hexadecimal size', `log\n0x1\n${root}\n`],
    ['a size with a space', `log\n1 \n${root}\n`],
    ['an empty size', `log\n\n${root}\n`],
    ['a size past 2^53 - 1', `log\n9007199254740992\n${root}\n`],
    ['a short root', `log\n1\n${base64.encode(EMPTY_ROOT.subarray(1))}\n`],
    ['a root in base64url', `log\n1\n${root.replace('+', '-')}\n`],
    ['a root without padding', `log\n1\n${root.replace('=', '')}\n`],
  ])('are not %s', (_, text) => {
    expect(() => parseCheckpointText(text)).toThrow(coded('malformed_checkpoint'));
  });

  it('are not written of what is none', () => {
    for (const [origin, size, hash] of [
      ['a b', 1, EMPTY_ROOT],
      ['log', -1, EMPTY_ROOT],
      ['log', 0.5, EMPTY_ROOT],
      ['log', 1, EMPTY_ROOT.subarray(1)],
    ] as const) {
      expect(() => checkpointText(origin, size, hash)).toThrow(coded('malformed_checkpoint'));
    }
    expect(() => formatNote('no newline', [PETER_LINE])).toThrow(coded('malformed_note'));
    expect(() => formatNote('\u0007\n', [PETER_LINE])).toThrow(coded('malformed_note'));
    expect(() => formatNote(TEXT, [])).toThrow(coded('malformed_note'));
    expect(() => signatureLine('a', peter.publicKey, new Uint8Array(63))).toThrow(coded('bad_signature'));
  });
});

it('the parsers fail in one way only, whatever the text', () => {
  const piece = fc.constantFrom(
    ...BOTH.split(/(?<=[\n +])/),
    PETER,
    '—',
    '\n',
    '\n\n',
    ' ',
    '+',
    '=',
    '0',
    '\u0000',
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(piece, { maxLength: 12 }).map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(text, (each) => {
      for (const parse of [
        parseNote,
        parseCheckpointText,
        parseVerifierKey,
        (t: string) => verifyNote(t, [peter]),
      ]) {
        try {
          parse(each);
        } catch (error) {
          expect(error).toBeInstanceOf(AuditError);
        }
      }
    }),
    { numRuns: 10_000 },
  );
});
