/** The example log of docs/audit-log.md: the format may not change under it, and whoever implements it may test with it. */
import { readFileSync } from 'node:fs';
import { toBase64Url, toHex } from '@astis/protocol';
import { describe, expect, it } from 'vitest';
import { inclusionProof } from './log/proofs.ts';
import { buildLog, CHECKPOINT_KEY, checkpointAt, exportLog, RECEIPT_KEY } from './log.fixture.ts';
import { formatVerifierKey, parseVerifierKey } from './note-key.ts';
import { verifyExport } from './verify/export.ts';

const vectors = JSON.parse(readFileSync(new URL('../vectors/log.json', import.meta.url), 'utf8'));

const log = buildLog({
  batches: [2, 3],
  event: (seq) =>
    [
      { kind: 'tenant.created', actor: 'alice@example.org', at: '2025-10-09T08:53:20.000Z' },
      { kind: 'capsule.released', actor: 'bob@example.org', subject: 'AAECAwQFBgcICQoLDA0ODw' },
      undefined,
      { kind: 'audit.redacted', actor: 'alice@example.org', entries: [[2, 2]] },
      { kind: 'capsule.refused', actor: 'Søren', reason: 'ttl', count: 1e21, list: [null, true, -0.5] },
    ][seq],
});

async function generate(): Promise<unknown> {
  const checkpoint = await checkpointAt(log, 5);
  return {
    keys: {
      checkpoint: formatVerifierKey(CHECKPOINT_KEY.verifier),
      receipt: formatVerifierKey(RECEIPT_KEY.verifier),
    },
    entries: log.entries.map(({ seq, salt, event, commitment, record, leafHash }) => ({
      seq,
      salt: toHex(salt),
      event,
      commitment: toHex(commitment),
      record: toHex(record),
      leafHash: toHex(leafHash),
    })),
    checkpoints: await Promise.all([0, 1, 2, 3, 4, 5].map((size) => checkpointAt(log, size))),
    inclusionProofOf1In5: (await inclusionProof(log.fetchNodes, 1, 5)).map(toBase64Url),
    receipts: log.receipts,
    exports: {
      full: await exportLog(log, { redacted: new Set([2]), checkpoint }),
      range: await exportLog(log, { kind: 'range', from: 1, to: 4, consistencyFrom: [2], checkpoint }),
      selection: await exportLog(log, { kind: 'selection', seqs: [1, 4], consistencyFrom: [2], checkpoint }),
    },
  };
}

describe('the published example log', () => {
  it('is still what the code makes', async () => {
    expect(await generate()).toEqual(vectors);
  });

  it('verifies, with the keys and the facts that it comes with', async () => {
    const keys = {
      checkpointKeys: [parseVerifierKey(vectors.keys.checkpoint)],
      receiptKeys: [parseVerifierKey(vectors.keys.receipt)],
    };
    const { full, range, selection } = vectors.exports;
    const { checkpoints, receipts } = vectors;
    expect(await verifyExport(full, keys, { checkpoints, receipts })).toMatchObject({
      ok: true,
      checkedCheckpoints: 6,
      checkedReceipts: 5,
      redacted: 1,
    });
    const known = { checkpoints: [checkpoints[2], checkpoints[5]], receipts };
    for (const lines of [range, selection]) expect((await verifyExport(lines, keys, known)).ok).toBe(true);
  });
});
