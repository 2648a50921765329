import type { Receipt } from '@astis/protocol';
import { toBase64Url, utf8 } from '@astis/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AuditError } from '../errors.ts';
import { commitmentOf, leafHash, ZERO_HASH } from '../hashes.ts';
import { appendEvents, EMPTY_LOG } from '../log/append.ts';
import { checkpointText, signNote } from '../log/checkpoint.ts';
import { makeReceipt } from '../log/receipt.ts';
import type { LogFixture } from '../log.fixture.ts';
import {
  buildLog,
  CHECKPOINT_KEY,
  checkpointAt,
  KEYS,
  ORIGIN,
  OTHER_TENANT,
  RECEIPT_KEY,
  STRANGER_KEY,
} from '../log.fixture.ts';
import { encodeRecord } from '../record.ts';
import { checkReceipt } from './receipt.ts';

const log = buildLog({ batches: [3, 1, 7] });

function receiptOf(seq: number, from: LogFixture = log): Receipt {
  const receipt = from.receipts[seq];
  if (receipt === undefined) throw new RangeError('no such receipt');
  return receipt;
}

const coded = (code: string): unknown => expect.objectContaining({ code });

describe('a receipt', () => {
  it('proves its event by itself, for every entry of every batch', () => {
    for (const [seq, receipt] of log.receipts.entries()) {
      const { entry, event, head, leafHash } = checkReceipt(receipt, KEYS);
      expect(entry.seq).toBe(seq);
      expect(event).toEqual({ type: 'capsule.released', capsule: `a-${seq}`, person: 'bob@example.org' });
      expect(head.size).toBeGreaterThan(seq);
      expect(leafHash).toEqual(log.entries[seq]?.leafHash);
      expect(JSON.parse(JSON.stringify(receipt))).toEqual(receipt);
    }
  });

  it('carries the newest checkpoint', async () => {
    const checkpoint = await checkpointAt(log, 3);
    expect(checkReceipt({ ...receiptOf(5), checkpoint }, KEYS).checkpoint?.size).toBe(3);
    const forged = await checkpointAt(log, 3, [STRANGER_KEY.signing]);
    expect(() => checkReceipt({ ...receiptOf(5), checkpoint: forged }, KEYS)).toThrow(coded('unknown_key'));
  });

  it('is of its batch', () => {
    const { entries, head, root } = appendEvents(log.tenant, EMPTY_LOG, []);
    expect(entries).toEqual([]);
    expect(head).toEqual(EMPTY_LOG);
    const batch = appendEvents(log.tenant, log.head, []);
    expect(batch.head).toEqual(log.head);
    expect(root).not.toEqual(batch.root);
    expect(() => makeReceipt(batch, 0, 'note')).toThrow(coded('out_of_range'));
  });

  it.each<[string, string, (receipt: Receipt) => unknown]>([
    ['another event', 'changed_event', (r) => ({ ...r, event: receiptOf(6).event })],
    ['another salt', 'changed_event', (r) => ({ ...r, salt: receiptOf(6).salt })],
    ['the record of another entry', 'malformed_receipt', (r) => ({ ...r, record: receiptOf(6).record })],
    ['another seq', 'malformed_receipt', (r) => ({ ...r, seq: 6 })],
    ['a proof cut short', 'not_included', (r) => ({ ...r, proof: r.proof.slice(1) })],
    ['a proof of another entry', 'not_included', (r) => ({ ...r, proof: receiptOf(6).proof })],
    ['the note of an earlier size', 'not_included', (r) => ({ ...r, note: receiptOf(0).note })],
    [
      'the note of a fork',
      'not_included',
      (r) => ({ ...r, note: receiptOf(5, buildLog({ batches: [3, 1, 7], seed: 'b' })).note }),
    ],
    ['a checkpoint for a note', 'unknown_key', (r) => ({ ...r, note: r.note.replaceAll('receipts', 'log') })],
    ['no note', 'malformed_receipt', ({ note, ...r }) => r],
    ['no signature', 'malformed_note', (r) => ({ ...r, note: r.note.slice(0, r.note.indexOf('\n\n') + 1) })],
    ['a field more', 'malformed_receipt', (r) => ({ ...r, also: 1 })],
    ['a record with a byte more', 'malformed_record', (r) => ({ ...r, record: `${r.record}AAAA` })],
    ['another padding', 'malformed_receipt', (r) => ({ ...r, salt: `${r.salt}=` })],
    ['a seq as text', 'malformed_receipt', (r) => ({ ...r, seq: String(r.seq) })],
    ['a proof that is none', 'malformed_receipt', (r) => ({ ...r, proof: [...r.proof, 7] })],
    ['a proof without end', 'malformed_receipt', (r) => ({ ...r, proof: Array(10_000).fill(r.proof[0]) })],
  ])('is refused with %s', (_, code, change) => {
    expect(() => checkReceipt(change(receiptOf(5)), KEYS)).toThrow(coded(code));
  });

  it("signed by the checkpoint key is none: roles are the keys'", () => {
    const [text = ''] = receiptOf(5).note.split('\n\n');
    const note = signNote(`${text}\n`, [CHECKPOINT_KEY.signing]);
    expect(() => checkReceipt({ ...receiptOf(5), note }, KEYS)).toThrow(coded('unknown_key'));
    expect(() =>
      checkReceipt({ ...receiptOf(5), note }, { ...KEYS, receiptKeys: [CHECKPOINT_KEY.verifier] }),
    ).not.toThrow();
  });

  it("has its record's tenant in the origin of its notes", async () => {
    const other = buildLog({ batches: [3, 1, 7], tenant: OTHER_TENANT });
    const receipt = receiptOf(5, other);
    expect(() => checkReceipt(receipt, KEYS)).not.toThrow();
    // A record of one tenant in a log that is called another's.
    const batch = appendEvents(log.tenant, EMPTY_LOG, [{ event: {}, salt: new Uint8Array(32), timeMs: 1 }]);
    const text = checkpointText(`astis.example/log/${OTHER_TENANT}`, 1, batch.root);
    const note = signNote(text, [{ ...CHECKPOINT_KEY.signing }]);
    const keys = { ...KEYS, receiptKeys: [CHECKPOINT_KEY.verifier] };
    expect(() => checkReceipt(makeReceipt(batch, 0, note), keys)).toThrow(coded('origin_mismatch'));
    const checkpoint = await checkpointAt(other, 3);
    expect(() => checkReceipt({ ...receiptOf(5), checkpoint }, KEYS)).toThrow(coded('origin_mismatch'));
  });

  it('is not taken with an event that a log does not take', () => {
    const salt = new Uint8Array(32);
    // A gateway that commits to such an event and has all else in order.
    const receiptFor = (event: Uint8Array): Receipt => {
      const commitment = commitmentOf(salt, event);
      const record = encodeRecord({ tenant: log.tenant, seq: 0, timeMs: 1, prev: ZERO_HASH, commitment });
      const note = signNote(checkpointText(ORIGIN, 1, leafHash(record)), [RECEIPT_KEY.signing]);
      const encoded = { record: toBase64Url(record), event: toBase64Url(event), salt: toBase64Url(salt) };
      return { ...encoded, seq: 0, proof: [], note };
    };
    expect(checkReceipt(receiptFor(utf8('{"a":1}')), KEYS).event).toEqual({ a: 1 });
    const refused = ['{"b":1,"a":2}', '[]', '{"a": 1}', '{"a":1,"a":1}', '{', '{"a":1e999}', '\ufeff{}'];
    for (const event of [...refused.map(utf8), Uint8Array.of(0x22, 0xff, 0x22)]) {
      expect(() => checkReceipt(receiptFor(event), KEYS)).toThrow(coded('malformed_receipt'));
    }
  });

  it('fails in one way only, whatever the value', () => {
    const field = fc.constantFrom('record', 'event', 'salt', 'seq', 'proof', 'note', 'checkpoint');
    fc.assert(
      fc.property(fc.jsonValue(), field, fc.jsonValue(), (whole, name, part) => {
        for (const value of [whole, { ...receiptOf(5), [name]: part }]) {
          try {
            checkReceipt(value, KEYS);
            expect(value).toEqual(receiptOf(5));
          } catch (error) {
            expect(error).toBeInstanceOf(AuditError);
          }
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('holds with no character of any field changed', () => {
    const receipt = { ...receiptOf(5) };
    const change = (text: string, at: number): string =>
      text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
    for (const name of ['record', 'event', 'salt', 'note'] as const) {
      for (let at = 0; at < receipt[name].length; at++) {
        expect(
          () => checkReceipt({ ...receipt, [name]: change(receipt[name], at) }, KEYS),
          `${name} ${at}`,
        ).toThrow(AuditError);
      }
    }
    for (const [i, hash] of receipt.proof.entries()) {
      for (let at = 0; at < hash.length; at++) {
        const proof = receipt.proof.with(i, change(hash, at));
        expect(() => checkReceipt({ ...receipt, proof }, KEYS)).toThrow(AuditError);
      }
    }
  });
});
