/** What an honest export is, and that every kind of tampering with one is found. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { toBase64Url, utf8 } from '@astis/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { REDACTION_EVENT_KIND } from '../event.ts';
import { commitmentOf, leafHash } from '../hashes.ts';
import type { LogHead } from '../log/append.ts';
import { appendEvents, EMPTY_LOG } from '../log/append.ts';
import { checkpointText, signatureLine, signNote } from '../log/checkpoint.ts';
import { exportEndLine, exportEntryLine, exportHeaderLine } from '../log/export.ts';
import { rootOf } from '../log/tree.ts';
import {
  buildLog,
  CHECKPOINT_KEY,
  checkpointAt,
  exportLog,
  KEYS,
  noteKeyPair,
  ORIGIN,
  OTHER_TENANT,
  RECEIPT_KEY,
  STRANGER_KEY,
  TENANT,
} from '../log.fixture.ts';
import { verifierKey } from '../note-key.ts';
import { encodeRecord } from '../record.ts';
import type { ExportReport, KnownFacts } from './export.ts';
import { ExportVerifier, verifyExport } from './export.ts';
import type { FindingCode } from './findings.ts';
import { MAX_FINDINGS } from './findings.ts';
import { readLines } from './lines.ts';
import type { TrustedKeys } from './receipt.ts';

function verify(lines: readonly string[], known: KnownFacts = {}, keys: TrustedKeys = KEYS): ExportReport {
  const verifier = new ExportVerifier(keys, known);
  for (const line of lines) verifier.push(line);
  return verifier.end();
}

/** The findings as `code` or `code seq`, each once, in no order. */
function found(report: ExportReport): string[] {
  const texts = report.findings.map(({ code, seq }) => (seq === undefined ? code : `${code} ${seq}`));
  return [...new Set(texts)].sort();
}

const SIZE = 13;
const log = buildLog({ batches: [4, 1, 8] });
const full = await exportLog(log);
const range = await exportLog(log, { kind: 'range', from: 3, to: 11 });
const selection = await exportLog(log, { kind: 'selection', seqs: [1, 2, 5, 6, 7, 11] });

/** The line of entry `seq` of the full export. */
const lineOf = (seq: number): number => seq + 1;

const edit = (lines: readonly string[], at: number, change: (line: string) => string): string[] =>
  lines.map((line, i) => (i === at ? change(line) : line));

type Json = Record<string, unknown>;
/** Changes fields of a line, keeping it canonical. */
const editJson = (lines: readonly string[], at: number, change: (value: Json) => Json): string[] =>
  edit(lines, at, (line) => {
    const value = change(JSON.parse(line));
    return JSON.stringify(Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))));
  });

describe('an honest export', () => {
  it('has nothing to find, in full', () => {
    expect(verify(full, { tenant: TENANT, origin: ORIGIN })).toEqual({
      ok: true,
      kind: 'full',
      tenant: TENANT,
      origin: ORIGIN,
      from: 0,
      to: SIZE,
      checkpoint: { size: SIZE, root: rootOf(log.head), signers: [ORIGIN], witnesses: [] },
      entries: SIZE,
      redacted: 0,
      firstTimeMs: log.entries[0]?.timeMs,
      lastTimeMs: log.entries[12]?.timeMs,
      checkedCheckpoints: 0,
      checkedReceipts: 0,
      findings: [],
      counts: {},
    });
  });

  it('has nothing to find at any size, with all receipts and all checkpoints', async () => {
    for (let size = 0; size <= 20; size++) {
      const each = buildLog({ batches: [size % 3, size - (size % 3)] });
      const checkpoints = await Promise.all(
        Array.from({ length: size + 1 }, (_, i) => checkpointAt(each, i)),
      );
      const report = verify(await exportLog(each), { checkpoints, receipts: each.receipts });
      expect(report).toMatchObject({ ok: true, checkedCheckpoints: size + 1, checkedReceipts: size });
    }
  });

  it('has nothing to find in a range and in a selection, older facts proven by consistency', async () => {
    const checkpoints = await Promise.all([0, 2, 8, SIZE].map((size) => checkpointAt(log, size)));
    const plan = { from: 3, to: 11, consistencyFrom: [2, 8, 4, 5] };
    for (const lines of [
      await exportLog(log, { ...plan, kind: 'range' }),
      await exportLog(log, { kind: 'selection', seqs: [3, 9], consistencyFrom: [2, 8, 4, 5] }),
    ]) {
      expect(found(verify(lines, { checkpoints, receipts: log.receipts }))).toEqual([]);
    }
    expect(verify(range)).toMatchObject({ ok: true, kind: 'range', entries: 8 });
    expect(verify(selection)).toMatchObject({ ok: true, kind: 'selection', entries: 6 });
  });

  it('is read from bytes', async () => {
    const bytes = utf8(full.map((line) => `${line}\n`).join(''));
    expect((await verifyExport(readLines([bytes.subarray(0, 700), bytes.subarray(700)]), KEYS)).ok).toBe(
      true,
    );
  });

  it('may come from a log whose clock stepped back, because the appender does not follow', () => {
    const salt = new Uint8Array(32);
    const batch = appendEvents(
      TENANT,
      EMPTY_LOG,
      [5000, 3000, 6000].map((timeMs) => ({ event: {}, salt, timeMs })),
    );
    expect(batch.entries.map(({ timeMs }) => timeMs)).toEqual([5000, 5000, 6000]);
    expect(appendEvents(TENANT, batch.head, [{ event: {}, salt, timeMs: 1 }]).head.lastTimeMs).toBe(6000);
  });

  it('reports the witnesses whose keys were given', async () => {
    // The witness's own signing is the log side's job elsewhere; here a key of the wrong kind must count for nothing.
    const witness = noteKeyPair('witness.example', 'witness');
    const note = await checkpointAt(log, SIZE, [CHECKPOINT_KEY.signing, witness.signing]);
    const lines = await exportLog(log, { checkpoint: note });
    expect(verify(lines).checkpoint?.witnesses).toEqual([]);
    const keys = {
      ...KEYS,
      witnessKeys: [verifierKey('witness.example', witness.verifier.publicKey, 'cosignature/v1')],
    };
    expect(verify(lines, {}, keys)).toMatchObject({ ok: true, checkpoint: { witnesses: [] } });
  });
});

describe('a changed character', () => {
  // Every field of every line, the text of the checkpoint included.
  it.each([
    ['full', full],
    ['range', range],
    ['selection', selection],
  ])('of a %s export is found, each one', (_, lines) => {
    for (const [at, line] of lines.entries()) {
      for (let i = 0; i < line.length; i++) {
        const old = line.charAt(i);
        const other = old >= '0' && old <= '8' ? String(Number(old) + 1) : old === 'x' ? 'y' : 'x';
        const changed = edit(lines, at, (text) => text.slice(0, i) + other + text.slice(i + 1));
        if (verify(changed).ok) expect.fail(`line ${at}, character ${i}: ${changed[at]}`);
      }
    }
  });

  it('too many or too few is found', () => {
    for (const [at, line] of full.entries()) {
      for (let i = 0; i <= line.length; i += 7) {
        const added = edit(full, at, (text) => `${text.slice(0, i)} ${text.slice(i)}`);
        const removed = edit(full, at, (text) => text.slice(0, i) + text.slice(i + 1));
        expect(verify(added).ok, added[at]).toBe(false);
        if (i < line.length) expect(verify(removed).ok, removed[at]).toBe(false);
      }
    }
  });

  it.each<[string, (line: string) => string]>([
    ['a name twice', (line) => line.replace('"seq":', '"seq":0,"seq":')],
    ['another order of names', (line) => JSON.stringify({ seq: 4, ...JSON.parse(line) })],
    ['an escape that need not be', (line) => line.replace('"person"', '"pers\\u006fn"')],
    ['a number written otherwise', (line) => line.replace(/"seq":(\d+)/, '"seq":$1.0')],
    ['a field that nobody knows', (line) => line.replace('"seq":', '"note":1,"seq":')],
    ['a field of the event', (line) => line.replace('"person":"bob', '"person":"eve')],
    ['a prototype', (line) => line.replace('"event":{', '"event":{"__proto__":{},')],
  ])('as %s is found', (_, change) => {
    const report = verify(edit(full, lineOf(4), change));
    expect(report.ok).toBe(false);
    expect(full[lineOf(4)]).not.toBe(change(full[lineOf(4)] ?? ''));
  });
});

describe('a changed field, written as an exporter would', () => {
  const salt = toBase64Url(new Uint8Array(32).fill(7));
  const cases: [string, (value: Json) => Json, string[]][] = [
    ['event', (v) => ({ ...v, event: { type: 'nothing.happened' } }), ['changed_event 4']],
    ['salt', (v) => ({ ...v, salt }), ['changed_event 4']],
    [
      'commitment',
      (v) => ({ ...v, commitment: salt }),
      ['broken_chain 5', 'changed_event 4', 'changed_record 4', 'root_mismatch'],
    ],
    [
      'event with its commitment',
      (v) => ({
        ...v,
        event: { type: 'x' },
        salt,
        commitment: toBase64Url(commitmentOf(new Uint8Array(32).fill(7), utf8('{"type":"x"}'))),
      }),
      ['broken_chain 5', 'changed_record 4', 'root_mismatch'],
    ],
    [
      'prev',
      (v) => ({ ...v, prev: salt }),
      ['broken_chain 4', 'broken_chain 5', 'changed_record 4', 'root_mismatch'],
    ],
    [
      'time, a little later',
      (v) => ({ ...v, time: String(v['time']).replace('Z', 'Z').replace(/\.\d+/, '.999') }),
      ['broken_chain 5', 'changed_record 4', 'root_mismatch'],
    ],
    [
      'time, a year back',
      (v) => ({ ...v, time: String(v['time']).replace('2025', '2024') }),
      ['broken_chain 5', 'changed_record 4', 'root_mismatch', 'time_backwards 4'],
    ],
    [
      'time, a year on',
      (v) => ({ ...v, time: String(v['time']).replace('2025', '2026') }),
      ['broken_chain 5', 'changed_record 4', 'root_mismatch', 'time_backwards 5'],
    ],
    [
      'seq to one that is there',
      (v) => ({ ...v, seq: 3 }),
      ['duplicate 3', 'missing_entry 4', 'root_mismatch'],
    ],
    ['seq to a later one', (v) => ({ ...v, seq: 9 }), ['root_mismatch']],
    ['event taken away', ({ event, ...v }) => v, ['malformed_line', 'missing_entry 4', 'root_mismatch']],
    ['salt taken away', ({ salt: _, ...v }) => v, ['malformed_line', 'missing_entry 4', 'root_mismatch']],
    ['event and salt taken away', ({ event, salt: _, ...v }) => v, ['unexplained_redaction 4']],
    ['event as text', (v) => ({ ...v, event: 'x' }), ['malformed_line', 'missing_entry 4', 'root_mismatch']],
    ['a proof added', (v) => ({ ...v, proof: [] }), ['malformed_line 4']],
  ];
  it.each(cases)('%s', (_, change, expected) => {
    const report = verify(editJson(full, lineOf(4), change));
    expect(found(report)).toEqual(expect.arrayContaining(expected));
    // Where the code points to an entry, it points to no other.
    if (!expected.includes('root_mismatch')) expect(found(report)).toEqual(expected);
  });

  it('of the first entry and of the last', () => {
    const first = verify(editJson(full, lineOf(0), (v) => ({ ...v, prev: salt })));
    expect(found(first)).toEqual(['broken_chain 0', 'broken_chain 1', 'changed_record 0', 'root_mismatch']);
    const last = verify(editJson(full, lineOf(12), (v) => ({ ...v, prev: salt })));
    expect(found(last)).toEqual(['broken_chain 12', 'root_mismatch']);
    const rewritten = verify(editJson(full, lineOf(12), (v) => ({ ...v, time: '2025-12-31T00:00:00.000Z' })));
    expect(found(rewritten)).toEqual(['root_mismatch']);
  });

  it('of an entry in a range or a selection is told by its proof', () => {
    for (const lines of [range, selection]) {
      const report = verify(editJson(lines, 3, (v) => ({ ...v, time: '2025-12-31T00:00:00.000Z' })));
      const { seq } = JSON.parse(lines[3] ?? '');
      expect(found(report)).toContain(`changed_record ${seq}`);
    }
  });

  it('of the header', () => {
    const header = (change: Json, lines = full): string[] =>
      found(verify(editJson(lines, 0, (v) => ({ ...v, ...change }))));
    expect(header({ version: 2 })).toEqual(['unknown_version']);
    expect(header({ format: 'x' })).toEqual(['malformed_line']);
    expect(header({ kind: 'range' })).toContain('malformed_line 0');
    expect(header({ kind: 'full' }, range)).toContain('malformed_line');
    expect(header({ tenant: OTHER_TENANT })).toEqual(
      expect.arrayContaining(['origin_mismatch', 'root_mismatch']),
    );
    expect(header({ to: 14 })).toEqual(expect.arrayContaining(['truncated 13', 'not_covered 13']));
    expect(header({ to: 12 })).toEqual(expect.arrayContaining(['truncated 12', 'malformed_line 12']));
    expect(header({ from: 1 })).toEqual(['malformed_line']);
    expect(header({ from: 4 }, range)).toContain('malformed_line 3');
    expect(header({ from: 2 }, range)).toContain('missing_entry 2');
    expect(header({ to: 12 }, range)).toContain('truncated 11');
    expect(header({ to: 12 }, selection)).toEqual(['malformed_line']);
    expect(header({ from: 1 }, selection)).toEqual(['malformed_line']);
    expect(header({ checkpoint: 'x' })).toContain('malformed_checkpoint');
  });

  it('of the last line', () => {
    const end = (change: Json): string[] =>
      found(verify(editJson(full, SIZE + 1, (v) => ({ ...v, ...change }))));
    expect(end({ entries: 14 })).toEqual(['missing_entry']);
    expect(end({ entries: 12 })).toEqual(['malformed_line']);
    expect(end({ consistency: [{ from: 1 }] })).toEqual(['malformed_line', 'truncated']);
    expect(end({ more: 1 })).toEqual(['malformed_line', 'truncated']);
  });
});

describe('lines deleted, doubled, moved, added', () => {
  it('deletes', () => {
    for (let seq = 0; seq < SIZE; seq++) {
      const report = verify(full.toSpliced(lineOf(seq), 1));
      expect(found(report)).toContain(seq === 12 ? 'truncated 12' : `missing_entry ${seq}`);
      expect(found(report)).toContain('root_mismatch');
      expect(report.counts.missing_entry, 'the last line counts too').toBe(seq === 12 ? 1 : 2);
    }
    expect(found(verify(full.toSpliced(lineOf(3), 4)))).toContain('missing_entry 3');
    expect(verify(range.toSpliced(4, 1)).findings.map(({ code }) => code)).toContain('missing_entry');
    // Of a selection nobody signed what belongs to it; its own count tells of an accident.
    expect(found(verify(selection.toSpliced(4, 1)))).toEqual(['missing_entry']);
  });

  it('doubles', () => {
    for (let seq = 0; seq < SIZE; seq++) {
      const line = full[lineOf(seq)] ?? '';
      expect(found(verify(full.toSpliced(lineOf(seq), 0, line)))).toContain(`duplicate ${seq}`);
      expect(found(verify(full.toSpliced(SIZE + 1, 0, line)))).toContain(`duplicate ${seq}`);
    }
  });

  it('swaps', () => {
    for (let a = 0; a < SIZE; a++) {
      for (let b = a + 1; b < SIZE; b++) {
        const swapped = full.with(lineOf(a), full[lineOf(b)] ?? '').with(lineOf(b), full[lineOf(a)] ?? '');
        const report = verify(swapped);
        expect(found(report)).toContain(`reordered ${a}`);
        expect(report.counts.missing_entry, 'nothing is missing').toBeUndefined();
      }
    }
  });

  it('adds a forged entry', () => {
    const forged = exportEntryLine({
      seq: 4,
      timeMs: 1_760_000_004_500,
      prev: log.entries[3]?.leafHash ?? new Uint8Array(32),
      commitment: commitmentOf(new Uint8Array(32), utf8('{"type":"x"}')),
      disclosed: { salt: new Uint8Array(32), event: '{"type":"x"}' },
    });
    // In front of the true one, which then looks like the double: the chain still tells which is which.
    expect(found(verify(full.toSpliced(lineOf(4), 0, forged)))).toEqual(
      expect.arrayContaining([
        'duplicate 4',
        'broken_chain 5',
        'changed_record 4',
        'malformed_line',
        'root_mismatch',
      ]),
    );
    expect(found(verify(full.toSpliced(lineOf(5), 0, forged)))).toEqual(
      expect.arrayContaining(['duplicate 4', 'malformed_line']),
    );
    const beyond = exportEntryLine({
      ...log.entries[12],
      seq: 13,
      timeMs: 1_770_000_000_000,
      prev: new Uint8Array(32),
      commitment: new Uint8Array(32),
    });
    expect(found(verify(full.toSpliced(SIZE + 1, 0, beyond)))).toContain('malformed_line 13');
    // With a header and an end to fit, nobody's signature stands for it.
    const fitted = [
      exportHeaderLine({ kind: 'full', tenant: TENANT, from: 0, to: 14, checkpoint: fullCheckpoint() }),
      ...full.slice(1, -1),
      exportEntryLine({
        seq: 13,
        timeMs: 1_770_000_000_000,
        prev: log.head.lastHash,
        commitment: new Uint8Array(32),
      }),
      exportEndLine(14),
    ];
    expect(found(verify(fitted))).toEqual(['not_covered 13', 'unexplained_redaction 13']);
  });

  it('adds lines that are no entries', () => {
    for (const line of ['', ' ', '{}', 'null', '[]', '0', '{"entries":1}', 'x'.repeat(2_000_000), '\ufffd']) {
      expect(found(verify(full.toSpliced(5, 0, line)))).toContain('malformed_line');
      expect(found(verify([...full, line]))).toEqual(['malformed_line']);
      expect(found(verify([line, ...full]))).toEqual(['malformed_line']);
    }
  });

  it('in any combination', () => {
    const index = fc.nat({ max: full.length - 1 });
    const operation = fc.oneof(
      fc.record({ op: fc.constant('delete'), a: index, b: index }),
      fc.record({ op: fc.constant('copy'), a: index, b: index }),
      fc.record({ op: fc.constant('move'), a: index, b: index }),
      fc.record({ op: fc.constant('swap'), a: index, b: index }),
      fc.record({ op: fc.constant('reverse'), a: index, b: index }),
    );
    fc.assert(
      fc.property(fc.array(operation, { minLength: 1, maxLength: 4 }), (operations) => {
        let lines = [...full];
        for (const { op, a, b } of operations) {
          const line = lines[a];
          const other = lines[b];
          if (line === undefined || other === undefined) continue;
          if (op === 'delete') lines.splice(a, 1);
          else if (op === 'copy') lines.splice(b, 0, line);
          else if (op === 'move') lines.splice(b, 0, ...lines.splice(a, 1));
          else if (op === 'swap') lines = lines.with(a, other).with(b, line);
          else lines.reverse();
        }
        const same = lines.length === full.length && lines.every((line, i) => line === full[i]);
        expect(verify(lines).ok).toBe(same);
      }),
      { numRuns: 2000 },
    );
  });
});

/** The checkpoint of the full export, for headers that are written anew. */
function fullCheckpoint(): string {
  return JSON.parse(full[0] ?? '').checkpoint;
}

describe('truncation', () => {
  it('of the file is found at every line', () => {
    for (let length = 0; length < full.length; length++) {
      expect(found(verify(full.slice(0, length))), `${length} lines`).toContain('truncated');
    }
    for (let length = 0; length < selection.length; length++) {
      expect(found(verify(selection.slice(0, length)))).toContain('truncated');
    }
  });

  it('under an older valid checkpoint shows by a later checkpoint, a receipt, or the checkpoint in a receipt', async () => {
    for (let size = 0; size < SIZE; size++) {
      const shorter = await exportLog(log, { to: size, size });
      expect(verify(shorter).ok, 'by itself it is a valid log').toBe(true);
      const later = await checkpointAt(log, size + 1);
      expect(found(verify(shorter, { checkpoints: [later] }))).toEqual([`truncated ${size}`]);
      expect(found(verify(shorter, { receipts: log.receipts.slice(size, size + 1) }))).toEqual([
        `truncated ${size}`,
      ]);
      const receipt = { ...log.receipts[0], checkpoint: later };
      expect(found(verify(shorter, { receipts: [receipt] }))).toContain(`truncated ${size}`);
    }
  });

  it('shows in ranges and selections too', async () => {
    const later = await checkpointAt(log, 12);
    for (const kind of ['range', 'selection'] as const) {
      const plan = kind === 'range' ? { from: 2, to: 8 } : { to: 9, seqs: [2, 8] };
      const shorter = await exportLog(log, { kind, ...plan, size: 9, consistencyFrom: [4, 5] });
      expect(found(verify(shorter, { checkpoints: [later] }))).toEqual(['truncated 9']);
      expect(found(verify(shorter, { receipts: log.receipts.slice(11) }))).toEqual(['truncated 9']);
    }
  });

  it('shows when the checkpoint has more entries than the export', async () => {
    const shorter = await exportLog(log, { to: 9, size: SIZE });
    expect(found(verify(shorter))).toEqual(['truncated 9']);
  });

  it('leaves entries beyond the checkpoint uncovered', async () => {
    const beyond = await exportLog(log, { size: 9 });
    expect(found(verify(beyond))).toEqual(['not_covered 9']);
    const partial = await exportLog(log, { kind: 'range', from: 3, to: 9, size: 9 });
    expect(found(verify(editJson(partial, 0, (v) => ({ ...v, to: 12 }))))).toContain('not_covered 9');
  });
});

describe('a fork, with all its hashes right and signed by the true checkpoint key', () => {
  for (const at of [0, 3, 5, 12]) {
    const fork = buildLog({ batches: [4, 1, 8, 2], forkAt: { seq: at, seed: 'b' } });

    it(`from entry ${at}: shows by an older checkpoint`, async () => {
      const lines = await exportLog(fork);
      expect(verify(lines, { checkpoints: [await checkpointAt(fork, 13)] }).ok).toBe(true);
      expect(found(verify(lines, { checkpoints: [await checkpointAt(log, at)] }))).toEqual([]);
      expect(found(verify(lines, { checkpoints: [await checkpointAt(log, at + 1)] }))).toEqual(['forked']);
      expect(found(verify(lines, { checkpoints: [await checkpointAt(log, SIZE)] }))).toEqual(['forked']);
    });

    it(`from entry ${at}: shows by a receipt`, async () => {
      const lines = await exportLog(fork);
      for (const [seq, receipt] of log.receipts.entries()) {
        const noteSize = [4, 5, 13].find((size) => size > seq) ?? 0;
        const expected = [...(noteSize > at ? ['forked'] : []), ...(seq >= at ? [`forked ${seq}`] : [])];
        expect(found(verify(lines, { receipts: [receipt] }))).toEqual([...new Set(expected)].sort());
      }
    });

    it(`from entry ${at}: shows in a range and a selection`, async () => {
      for (const kind of ['range', 'selection'] as const) {
        const part = kind === 'range' ? { from: at, to: 13 } : { seqs: [...new Set([at, 12])] };
        const lines = await exportLog(fork, { kind, ...part, consistencyFrom: [13] });
        expect(found(verify(lines, { checkpoints: [await checkpointAt(fork, 13)] }))).toEqual([]);
        expect(found(verify(lines, { checkpoints: [await checkpointAt(log, 13)] }))).toEqual(['forked']);
        expect(found(verify(lines, { receipts: log.receipts.slice(12) }))).toContain('forked 12');
      }
    });
  }

  it('has no consistency proof to offer, and leaving it out is no way out', async () => {
    const checkpoints = [await checkpointAt(log, 8)];
    expect(found(verify(range, { checkpoints }))).toEqual(['unproven']);
    // A receipt whose entry is in the range still needs its tree head compared.
    expect(found(verify(range, { receipts: log.receipts.slice(4, 5) }))).toEqual(['unproven']);
    const honest = await exportLog(log, { kind: 'range', from: 3, to: 11, consistencyFrom: [8] });
    for (let i = 0; i < (honest.at(-1) ?? '').length; i++) {
      const changed = edit(
        honest,
        honest.length - 1,
        (line) => line.slice(0, i) + (line[i] === 'A' ? 'B' : 'A') + line.slice(i + 1),
      );
      expect(verify(changed, { checkpoints }).ok).toBe(false);
    }
  });
});

describe('signatures', () => {
  it('by another key, a forged one, and none', async () => {
    const by = async (...keys: Parameters<typeof checkpointAt>[2] & object): Promise<string[]> =>
      exportLog(log, { checkpoint: await checkpointAt(log, SIZE, keys) });
    expect(found(verify(await by(STRANGER_KEY.signing)))).toEqual(['unknown_key']);
    expect(found(verify(await by(STRANGER_KEY.signing, CHECKPOINT_KEY.signing)))).toEqual([]);
    expect(found(verify(full, {}, { checkpointKeys: [], receiptKeys: [] }))).toEqual(['unknown_key']);
    const forger = { ...CHECKPOINT_KEY.signing, sign: () => new Uint8Array(64) };
    expect(found(verify(await by(forger)))).toEqual(['bad_signature']);
    expect(found(verify(await by(CHECKPOINT_KEY.signing, forger)))).toEqual(['bad_signature']);
  });

  it("of the receipt key make no checkpoint: a stolen gateway can't rewrite the log", async () => {
    const checkpoint = await checkpointAt(log, SIZE, [RECEIPT_KEY.signing]);
    expect(found(verify(await exportLog(log, { checkpoint })))).toEqual(['unknown_key']);
    expect(found(verify(full, { checkpoints: [checkpoint] }))).toEqual(['unknown_key']);
  });

  it('of another key after a rotation hold when both are trusted', async () => {
    const next = noteKeyPair(ORIGIN, 'next');
    const checkpoint = await checkpointAt(log, SIZE, [next.signing]);
    const keys = { ...KEYS, checkpointKeys: [CHECKPOINT_KEY.verifier, next.verifier] };
    const known = { checkpoints: [await checkpointAt(log, 5)] };
    expect(found(verify(await exportLog(log, { checkpoint }), known, keys))).toEqual([]);
  });

  it('of a checkpoint with another root, size or origin', async () => {
    const sign = (origin: string, size: number, root = rootOf(log.head)): string =>
      signNote(checkpointText(origin, size, root), [CHECKPOINT_KEY.signing]);
    const withCheckpoint = async (checkpoint: string): Promise<string[]> =>
      found(verify(await exportLog(log, { checkpoint })));
    expect(await withCheckpoint(sign(ORIGIN, SIZE, new Uint8Array(32)))).toEqual(['root_mismatch']);
    expect(await withCheckpoint(sign(ORIGIN, 12))).toEqual(['not_covered 12', 'root_mismatch']);
    expect(await withCheckpoint(sign(`astis.example/log/${OTHER_TENANT}`, SIZE))).toEqual([
      'origin_mismatch',
    ]);
    expect(await withCheckpoint(sign(`other.example/${TENANT}`, SIZE))).toEqual([]);
    const elsewhere = await exportLog(log, { checkpoint: sign(`other.example/${TENANT}`, SIZE) });
    expect(found(verify(elsewhere, { origin: ORIGIN }))).toEqual(['origin_mismatch']);
    const extended = signNote(`${checkpointText(ORIGIN, SIZE, rootOf(log.head))}extension\n`, [
      CHECKPOINT_KEY.signing,
    ]);
    expect(await withCheckpoint(extended)).toEqual(['malformed_checkpoint']);
  });
});

describe('what the auditor has', () => {
  it('is refused when it does not hold by itself, and never held against the log', async () => {
    const [receipt] = log.receipts;
    const cases: [KnownFacts, FindingCode][] = [
      [{ checkpoints: ['x'] }, 'malformed_checkpoint'],
      [{ checkpoints: [await checkpointAt(log, 3, [STRANGER_KEY.signing])] }, 'unknown_key'],
      [{ checkpoints: [(await checkpointAt(log, 3)).replace('\n3\n', '\n4\n')] }, 'bad_signature'],
      [
        { checkpoints: [await checkpointAt(buildLog({ batches: [5], tenant: OTHER_TENANT }), 3)] },
        'origin_mismatch',
      ],
      [
        { receipts: buildLog({ batches: [5], tenant: OTHER_TENANT }).receipts.slice(0, 1) },
        'origin_mismatch',
      ],
      [{ receipts: [{}] }, 'bad_receipt'],
      [{ receipts: [{ ...receipt, event: '' }] }, 'bad_receipt'],
      [
        { receipts: [{ ...receipt, note: (receipt?.note ?? '').replace('\n4\n', '\n5\n') }] },
        'bad_signature',
      ],
      [{ tenant: OTHER_TENANT }, 'origin_mismatch'],
    ];
    for (const [known, code] of cases) {
      const report = verify(full, known);
      expect(found(report)).toEqual([code]);
      expect(report).toMatchObject({ checkedCheckpoints: 0, checkedReceipts: 0 });
    }
  });

  it("is not confused by a log's own pair of receipts", () => {
    const fork = buildLog({ batches: [4, 1, 8], forkAt: { seq: 6, seed: 'b' } });
    const receipts = [...log.receipts, ...fork.receipts];
    expect(found(verify(full, { receipts }))).toEqual(
      [
        'forked',
        'forked 10',
        'forked 11',
        'forked 12',
        'forked 6',
        'forked 7',
        'forked 8',
        'forked 9',
      ].sort(),
    );
  });
});

describe('redaction', () => {
  const redacting = (entries: unknown) =>
    buildLog({
      batches: [SIZE],
      event: (seq) =>
        seq === 10 ? { kind: REDACTION_EVENT_KIND, entries: JSON.parse(JSON.stringify(entries)) } : undefined,
    });

  it('that the log explains is no finding, and is counted', async () => {
    const each = redacting([
      [2, 4],
      [7, 7],
    ]);
    const lines = await exportLog(each, { redacted: new Set([2, 3, 4, 7]) });
    expect(verify(lines, { receipts: each.receipts })).toMatchObject({ ok: true, redacted: 4 });
    const part = await exportLog(each, { kind: 'range', from: 2, to: 5, redacted: new Set([3]) });
    expect(verify(part)).toMatchObject({ ok: true, redacted: 1 });
  });

  it('that nothing explains is found', async () => {
    const hidden = new Set([3, 4, 8]);
    const cases: [unknown, string[]][] = [
      [[[3, 3]], ['unexplained_redaction 4', 'unexplained_redaction 8']],
      [[[0, 100]], []],
      [[[4, 3]], ['unexplained_redaction 3', 'unexplained_redaction 8']],
      [[[3]], ['unexplained_redaction 3', 'unexplained_redaction 8']],
      ['all', ['unexplained_redaction 3', 'unexplained_redaction 8']],
      [[['3', '8']], ['unexplained_redaction 3', 'unexplained_redaction 8']],
    ];
    for (const [entries, expected] of cases) {
      expect(found(verify(await exportLog(redacting(entries), { redacted: hidden })))).toEqual(expected);
    }
  });

  it('of what comes later is not explained beforehand, nor that of the explanation', async () => {
    const lines = await exportLog(redacting([[0, 100]]), { redacted: new Set([11]) });
    expect(found(verify(lines))).toEqual(['unexplained_redaction 11']);
    const explanation = await exportLog(redacting([[3, 3]]), { redacted: new Set([3, 10]) });
    expect(found(verify(explanation))).toEqual(['unexplained_redaction 10', 'unexplained_redaction 3']);
  });
});

describe('any input', () => {
  it('is reported and never thrown', () => {
    const piece = fc.constantFrom(
      ...full,
      ...range,
      '{',
      '}',
      '[',
      '"',
      ':',
      ',',
      'null',
      '1e999',
      '"seq"',
      '"entries"',
      '\\ud800',
    );
    const line = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.json(),
      fc.array(piece, { maxLength: 5 }).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 8 }), fc.jsonValue(), fc.string(), (lines, receipt, note) => {
        for (const input of [lines, [full[0] ?? '', ...lines], [range[0] ?? '', ...lines]]) {
          expect(verify(input, { receipts: [receipt], checkpoints: [note] }).ok).toBe(false);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('with fields of any shape in any line is reported', () => {
    const keys = fc.constantFrom(
      'format',
      'kind',
      'tenant',
      'from',
      'to',
      'checkpoint',
      'version',
      'seq',
      'time',
      'prev',
      'commitment',
      'salt',
      'event',
      'proof',
      'entries',
      'consistency',
    );
    const value = fc.oneof(
      fc.jsonValue(),
      fc.maxSafeInteger(),
      fc.double(),
      fc.constant([{ from: 3, proof: [] }]),
    );
    fc.assert(
      fc.property(
        fc.constantFrom(full, range, selection),
        fc.nat({ max: 14 }),
        keys,
        value,
        (lines, at, name, v) => {
          const changed = editJson(lines, at % lines.length, (fields) => ({ ...fields, [name]: v }));
          if (changed.join('\n') === lines.join('\n')) return;
          // Proofs that nobody has a use for are no evidence of anything.
          const spare = name === 'consistency' && at % lines.length === lines.length - 1;
          if (!spare) expect(verify(changed).ok).toBe(false);
          else verify(changed);
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('as deep as a line is long is refused', () => {
    for (const line of [
      `${'['.repeat(500_000)}`,
      `{"event":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`,
    ]) {
      expect(found(verify([line]))).toEqual(['malformed_line']);
      expect(found(verify(full.with(3, line)))).toContain('malformed_line');
    }
    const deep = `${'['.repeat(250_000)}${']'.repeat(250_000)}`;
    const entry = (full[3] ?? '').replace('"person":"bob@example.org"', `"person":${deep}`);
    expect(found(verify(full.with(3, entry)))).toContain('malformed_line');
    expect(found(verify(full.with(SIZE + 1, `{"consistency":${deep},"entries":13}`)))).toContain(
      'malformed_line',
    );
  });

  it('fills no memory with findings', () => {
    const verifier = new ExportVerifier(KEYS);
    verifier.push(full[0] ?? '');
    for (let i = 0; i < 5000; i++) verifier.push('x');
    const { findings, counts } = verifier.end();
    expect(findings).toHaveLength(MAX_FINDINGS);
    expect(counts.malformed_line).toBe(5000);
  });
});

it('memory does not grow with the log', async () => {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  const salt = new Uint8Array(32);
  const batches = 60;
  const batchSize = 1000;
  const append = (head: LogHead) =>
    appendEvents(
      TENANT,
      head,
      Array.from({ length: batchSize }, (_, i) => ({ event: { n: head.size + i }, salt, timeMs: 1 })),
    );
  let head: LogHead = EMPTY_LOG;
  for (let i = 0; i < batches; i++) head = append(head).head;
  const checkpoint = signNote(checkpointText(ORIGIN, head.size, rootOf(head)), [CHECKPOINT_KEY.signing]);

  const used: number[] = [];
  function* lines(): Generator<string> {
    yield exportHeaderLine({ kind: 'full', tenant: TENANT, from: 0, to: batches * batchSize, checkpoint });
    let at: LogHead = EMPTY_LOG;
    for (let i = 0; i < batches; i++) {
      const { entries, head: next } = append(at);
      for (const entry of entries) yield exportEntryLine({ ...entry, disclosed: entry });
      at = next;
      if (i % 20 !== 19) continue;
      collect();
      used.push(process.memoryUsage().heapUsed);
    }
    yield exportEndLine(batches * batchSize);
  }
  const report = await verifyExport(lines(), KEYS);
  expect(report).toMatchObject({ ok: true, entries: 60_000 });
  // 40,000 entries kept would be 20 MB and more.
  expect((used.at(-1) ?? 0) - (used[0] ?? 0)).toBeLessThan(2_000_000);
});

it("signs nothing of an entry's own choosing: one note cannot stand for two logs", () => {
  // The same entry under two tenants has two hashes.
  const fields = { seq: 0, timeMs: 1, prev: new Uint8Array(32), commitment: new Uint8Array(32) };
  expect(leafHash(encodeRecord({ ...fields, tenant: TENANT }))).not.toEqual(
    leafHash(encodeRecord({ ...fields, tenant: OTHER_TENANT })),
  );
  expect(signatureLine('a', CHECKPOINT_KEY.signing.publicKey, new Uint8Array(64))).toMatch(/^\u2014 a /);
});
