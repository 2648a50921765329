/** Policy documents by version, and the compiled form of the current one. */
import { hash } from 'node:crypto';
import type { CompiledPolicy, PolicyDocument } from '@astis/policy';
import { compilePolicy } from '@astis/policy';
import type { TenantId } from '@astis/protocol';
import { ProblemError } from '@astis/protocol';
import type { Tx } from '../database.ts';
import type { Listing } from './rows.ts';
import { pageOf } from './rows.ts';

export interface PolicyVersion {
  readonly version: number;
  readonly document: PolicyDocument;
  readonly createdBy: string;
  readonly createdAt: Date;
}

interface PolicyRow {
  readonly version: number;
  readonly document: PolicyDocument;
  readonly created_by: string;
  readonly created_at: Date;
}

const versionOf = (row: PolicyRow): PolicyVersion => ({
  version: row.version,
  document: row.document,
  createdBy: row.created_by,
  createdAt: row.created_at,
});

export async function currentPolicy(tx: Tx, tenantId: TenantId): Promise<PolicyVersion> {
  const [row] = await tx.query<PolicyRow>(
    'select * from policies where tenant_id = $1 order by version desc limit 1',
    [tenantId],
  );
  if (row === undefined) throw new ProblemError('not_found', 'There is no policy, so nothing is allowed.');
  return versionOf(row);
}

export async function listPolicies(
  tx: Tx,
  tenantId: TenantId,
  page: { readonly cursor?: string; readonly limit: number },
): Promise<Listing<PolicyVersion>> {
  const before = page.cursor === undefined ? 2_147_483_647 : Number(page.cursor);
  if (!Number.isInteger(before)) throw new ProblemError('invalid_request', 'The cursor is not one of ours.');
  const rows = await tx.query<PolicyRow>(
    `select * from policies where tenant_id = $1 and version < $2 order by version desc limit ${page.limit + 1}`,
    [tenantId, before],
  );
  return pageOf(rows, page.limit, versionOf, (row) => String(row.version));
}

/** Adds a version. `expected` is the version that the caller saw: 0 for the first. */
export async function addPolicy(
  tx: Tx,
  tenantId: TenantId,
  expected: number,
  document: PolicyDocument,
  createdBy: string,
): Promise<number> {
  const stored = await tx.query(
    `insert into policies (tenant_id, version, document, created_by)
     select $1, $2 + 1, $3, $4
     where $2 = coalesce((select max(version) from policies where tenant_id = $1), 0)
     on conflict do nothing returning 1`,
    [tenantId, expected, JSON.stringify(document), createdBy],
  );
  if (stored.length === 0) {
    throw new ProblemError(
      'version_conflict',
      'The policy was changed in the meantime. Get it, and apply your change to that.',
    );
  }
  return expected + 1;
}

const MAX_TENANTS = 10_000;
const MAX_DOCUMENTS = 1000;

/** Puts an entry in, and the oldest out when there are too many. */
function keep<Key, Value>(map: Map<Key, Value>, key: Key, value: Value, most: number): void {
  map.delete(key);
  const [oldest] = map.size >= most ? map.keys() : [];
  if (oldest !== undefined) map.delete(oldest);
  map.set(key, value);
}

/**
 * Compiled policies, the newest of each tenant. Compiling is slow and a version never changes. Tenants whose documents
 * are the same, as all are to begin with, share what was compiled of it.
 */
export class PolicyCache {
  readonly #current = new Map<TenantId, { readonly version: number; readonly policy: CompiledPolicy }>();
  /** By the SHA-256 of the document. */
  readonly #compiled = new Map<string, CompiledPolicy>();

  /** The compiled current policy; `version` is known to be current, having been read in this transaction. */
  async get(tx: Tx, tenantId: TenantId, version: number): Promise<CompiledPolicy> {
    const known = this.#current.get(tenantId);
    if (known?.version === version) return known.policy;
    const current = await currentPolicy(tx, tenantId);
    const policy = this.#compile(current.document);
    keep(this.#current, tenantId, { version: current.version, policy }, MAX_TENANTS);
    return policy;
  }

  async current(
    tx: Tx,
    tenantId: TenantId,
  ): Promise<{ readonly version: number; readonly policy: CompiledPolicy }> {
    const { version } = await currentPolicy(tx, tenantId);
    return { version, policy: await this.get(tx, tenantId, version) };
  }

  #compile(document: PolicyDocument): CompiledPolicy {
    const key = hash('sha256', JSON.stringify(document));
    const policy = this.#compiled.get(key) ?? compilePolicy(document);
    keep(this.#compiled, key, policy, MAX_DOCUMENTS);
    return policy;
  }
}
