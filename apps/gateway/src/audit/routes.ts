/** The log: entries, export, checkpoints, proofs and tiles (C2SP tlog-tiles). */
import { Readable } from 'node:stream';
import {
  AuditError,
  consistencyProof,
  encodeRecord,
  entryBundle,
  exportEndLine,
  exportEntryLine,
  exportHeaderLine,
  hasTile,
  inclusionProof,
  parseTilePath,
  tileBytes,
  tileSpan,
} from '@astis/audit';
import type { TenantId } from '@astis/protocol';
import {
  AuditEntry,
  AuditQuery,
  Checkpoint,
  ConsistencyQuery,
  InclusionQuery,
  Page,
  ProblemError,
  Proof,
  toBase64Url,
} from '@astis/protocol';
import type { ListedEntry, Tx } from '@astis/store';
import { listEntries, logSize, nodeReader, streamEntries } from '@astis/store';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { App } from '../app.ts';
import type { Gateway } from '../gateway.ts';
import { callerOf } from '../http/authentication.ts';
import { refusals } from '../http/problems.ts';
import { authorise } from '../policies/authorise.ts';
import { makeCheckpoint } from './checkpoint.ts';

const shown = (entry: ListedEntry): AuditEntry => ({
  seq: entry.seq,
  time: new Date(entry.timeMs).toISOString(),
  kind: entry.kind,
  commitment: toBase64Url(entry.commitment),
  ...(entry.disclosed === undefined ? {} : { event: JSON.parse(entry.disclosed.event) }),
});

/** Sizes and indexes that the log does not have are the client's mistake. */
async function proof(make: () => Promise<readonly Uint8Array[]>): Promise<{ proof: string[] }> {
  try {
    return { proof: (await make()).map(toBase64Url) };
  } catch (error) {
    if (error instanceof AuditError)
      throw new ProblemError('invalid_request', `The log has no such proof: ${error.message}.`);
    throw error;
  }
}

export function auditRoutes(app: App, gateway: Gateway): void {
  const { store } = gateway;

  /** Runs in the tenant, for who may read the log. */
  function reading<T>(request: FastifyRequest, work: (tx: Tx, tenantId: TenantId) => Promise<T>): Promise<T> {
    const caller = callerOf(request);
    return store.transaction(caller.tenantId, async (tx) => {
      await authorise(tx, gateway, caller, request.ip, { action: 'readAudit' });
      return work(tx, caller.tenantId);
    });
  }

  app.get(
    '/v1/audit/entries',
    {
      schema: {
        operationId: 'listAuditEntries',
        summary: 'Entries of the log, newest first',
        tags: ['audit'],
        querystring: AuditQuery,
        response: { 200: Page(AuditEntry), ...refusals },
      },
    },
    (request) =>
      reading(request, async (tx, tenantId) => {
        const { cursor, limit = 100, ...filter } = request.query;
        const before = cursor === undefined ? undefined : Number(cursor);
        if (before !== undefined && !Number.isSafeInteger(before)) {
          throw new ProblemError('invalid_request', 'The cursor is not one of ours.');
        }
        const entries = await listEntries(tx, tenantId, filter, {
          limit: limit + 1,
          newestFirst: true,
          ...(before === undefined ? {} : { before }),
        });
        const items = entries.slice(0, limit);
        const last = items.at(-1);
        return {
          items: items.map(shown),
          ...(entries.length > limit && last !== undefined ? { nextCursor: String(last.seq) } : {}),
        };
      }),
  );

  app.get(
    '/v1/audit/export',
    {
      schema: {
        operationId: 'exportAudit',
        summary: 'The whole log as JSON Lines, to be verified offline',
        tags: ['audit'],
        produces: ['application/jsonl'],
        response: {
          200: Type.String({ description: 'JSON Lines; docs/audit-log.md describes them' }),
          ...refusals,
        },
      },
    },
    async (request, reply) => {
      const tenantId = await reading(request, async (_tx, id) => id);
      const caller = callerOf(request);
      // The export is in the log itself, so that it shows who took a copy.
      await store.log.append(tenantId, async () => ({
        events: [{ kind: 'audit.exported', actor: caller.address, subject: '' }],
        finish: () => undefined,
      }));
      const { size, note } = await makeCheckpoint(gateway, tenantId);
      async function* lines(): AsyncGenerator<string> {
        yield `${exportHeaderLine({ kind: 'full', tenant: tenantId, from: 0, to: size, checkpoint: note })}\n`;
        for await (const entry of streamEntries(store.database, tenantId, 0, size))
          yield `${exportEntryLine(entry)}\n`;
        yield `${exportEndLine(size)}\n`;
      }
      return streamed(reply, 'application/jsonl', Readable.from(lines()));
    },
  );

  app.get(
    '/v1/audit/checkpoint',
    {
      schema: {
        operationId: 'getCheckpoint',
        summary: 'A checkpoint of the log as it is now, signed by the CVS',
        tags: ['audit'],
        response: { 200: Checkpoint, ...refusals },
      },
    },
    async (request) => makeCheckpoint(gateway, await reading(request, async (_tx, id) => id)),
  );

  app.get(
    '/v1/audit/proofs/inclusion',
    {
      schema: {
        operationId: 'getInclusionProof',
        summary: 'Proof that an entry is in the log of a size',
        tags: ['audit'],
        querystring: InclusionQuery,
        response: { 200: Proof, ...refusals },
      },
    },
    (request) =>
      reading(request, (tx, id) => {
        const { seq, size } = request.query;
        return proof(async () => inclusionProof(nodeReader(tx, id), seq, await covered(tx, id, size)));
      }),
  );

  app.get(
    '/v1/audit/proofs/consistency',
    {
      schema: {
        operationId: 'getConsistencyProof',
        summary: 'Proof that the log of one size continues that of a smaller one',
        tags: ['audit'],
        querystring: ConsistencyQuery,
        response: { 200: Proof, ...refusals },
      },
    },
    (request) =>
      reading(request, (tx, id) => {
        const { from, to } = request.query;
        return proof(async () => consistencyProof(nodeReader(tx, id), from, await covered(tx, id, to)));
      }),
  );

  app.get(
    '/v1/audit/tile/*',
    {
      schema: {
        operationId: 'getTile',
        summary: 'A tile of the Merkle tree (C2SP tlog-tiles)',
        tags: ['audit'],
        params: Type.Object({ '*': Type.String({ maxLength: 200 }) }),
        produces: ['application/octet-stream'],
        response: { 200: Type.Unknown(), ...refusals },
      },
    },
    async (request, reply) => {
      const bytes = await reading(request, async (tx, tenantId) => {
        try {
          const tile = parseTilePath(`tile/${request.params['*']}`);
          const { size } = await logSize(tx, tenantId);
          if (!hasTile(tile, size)) throw new ProblemError('not_found', 'The log has no such tile.');
          const { level, start, end } = tileSpan(tile);
          if (tile.level === 'entries') {
            const page = { after: start - 1, before: end, limit: end - start, newestFirst: false };
            const entries = await listEntries(tx, tenantId, {}, page);
            return entryBundle(entries.map((entry) => encodeRecord({ ...entry, tenant: tenantId })));
          }
          return tileBytes(await nodeReader(tx, tenantId)(level, start, end));
        } catch (error) {
          if (error instanceof AuditError) throw new ProblemError('not_found', 'The log has no such tile.');
          throw error;
        }
      });
      return streamed(reply, 'application/octet-stream', Readable.from([bytes]));
    },
  );
}

/** Sends bytes as they are. The route's schema describes JSON, which a stream goes past. */
function streamed(reply: Pick<FastifyReply, 'type' | 'send'>, type: string, body: Readable): FastifyReply {
  reply.type(type);
  return reply.send(body);
}

async function covered(tx: Tx, tenantId: TenantId, size: number): Promise<number> {
  const log = await logSize(tx, tenantId);
  if (size > log.size) throw new ProblemError('invalid_request', `The log has ${log.size} entries only.`);
  return size;
}
