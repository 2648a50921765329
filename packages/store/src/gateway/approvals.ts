/** A second person's approvals. */
import { randomUUID } from 'node:crypto';
import type { Address, ArtifactId, TenantId } from '@astis/protocol';
import { concat, ProblemError } from '@astis/protocol';
import type { Tx } from '../database.ts';
import type { Listing } from './rows.ts';
import { addressOf, artifactIdOf, idBytes, pageOf } from './rows.ts';

export type ApprovalAction = 'release' | 'recover';

export interface ApprovalRecord {
  readonly id: string;
  readonly artifactId: ArtifactId;
  readonly requester: Address;
  readonly action: ApprovalAction;
  readonly status: 'pending' | 'approved' | 'denied' | 'lapsed';
  readonly requestedAt: Date;
  readonly decidedBy: Address | undefined;
  readonly decidedAt: Date | undefined;
  readonly validUntil: Date | undefined;
}

interface ApprovalRow {
  readonly approval_id: string;
  readonly artifact_id: Buffer;
  readonly requester: string;
  readonly action: ApprovalAction;
  readonly status: ApprovalRecord['status'];
  readonly requested_at: Date;
  readonly decided_by: string | null;
  readonly decided_at: Date | null;
  readonly valid_until: Date | null;
}

const COLUMNS = `approval_id, artifact_id, requester, action, requested_at, decided_by, decided_at, valid_until,
  case when status = 'approved' and valid_until <= clock_timestamp() then 'lapsed' else status end as status`;

const recordOf = (row: ApprovalRow): ApprovalRecord => ({
  id: row.approval_id,
  artifactId: artifactIdOf(row.artifact_id),
  requester: addressOf(row.requester),
  action: row.action,
  status: row.status,
  requestedAt: row.requested_at,
  decidedBy: row.decided_by === null ? undefined : addressOf(row.decided_by),
  decidedAt: row.decided_at ?? undefined,
  validUntil: row.valid_until ?? undefined,
});

/** Asks for an approval; a question that is still open is not asked twice. */
export async function requestApproval(
  tx: Tx,
  tenantId: TenantId,
  artifactId: ArtifactId,
  requester: Address,
  action: ApprovalAction,
): Promise<RequestedApproval> {
  const [answer] = await requestApprovals(tx, tenantId, action, [{ artifactId, requester }]);
  if (answer === undefined) throw new ProblemError('internal', 'The question was not stored.');
  return answer;
}

export interface RequestedApproval {
  readonly id: string;
  /** False when the question was open already. */
  readonly isNew: boolean;
}

/** The same for many, in one statement. The answers are in the order of the questions; equal ones share theirs. */
export async function requestApprovals(
  tx: Tx,
  tenantId: TenantId,
  action: ApprovalAction,
  questions: readonly { readonly artifactId: ArtifactId; readonly requester: Address }[],
): Promise<readonly RequestedApproval[]> {
  if (questions.length === 0) return [];
  const keyOf = (artifactId: string, requester: string): string => `${artifactId} ${requester}`;
  const distinct = new Map(questions.map((each) => [keyOf(each.artifactId, each.requester), each]));
  const rows = await tx.query<{
    artifact_id: Buffer;
    requester: string;
    approval_id: string;
    is_new: boolean;
  }>(
    `insert into approvals as a (tenant_id, approval_id, artifact_id, requester, action, status)
     select $1, q.id, substring($4::bytea from (q.i::int - 1) * 16 + 1 for 16), q.requester, $2, 'pending'
     from unnest($3::uuid[], $5::text[]) with ordinality as q(id, requester, i)
     on conflict (tenant_id, artifact_id, requester, action) where status = 'pending'
       do update set requested_at = a.requested_at
     returning artifact_id, requester, approval_id, xmax = 0 as is_new`,
    [
      tenantId,
      action,
      Array.from(distinct, () => randomUUID()),
      concat(...Array.from(distinct.values(), ({ artifactId }) => idBytes(artifactId))),
      Array.from(distinct.values(), ({ requester }) => requester),
    ],
  );
  const found = new Map(
    rows.map((row) => [
      keyOf(artifactIdOf(row.artifact_id), row.requester),
      { id: row.approval_id, isNew: row.is_new },
    ]),
  );
  const told = new Set<string>();
  return questions.map(({ artifactId, requester }) => {
    const key = keyOf(artifactId, requester);
    const answer = found.get(key);
    if (answer === undefined) throw new ProblemError('internal', 'The question was not stored.');
    const isNew = answer.isNew && !told.has(key);
    told.add(key);
    return { id: answer.id, isNew };
  });
}

/** Whether an approval of this action, for this requester and artifact, holds now. */
export async function isApproved(
  tx: Tx,
  tenantId: TenantId,
  artifactId: ArtifactId,
  requester: Address,
  action: ApprovalAction,
): Promise<boolean> {
  const rows = await tx.query(
    `select 1 from approvals where tenant_id = $1 and artifact_id = $2 and requester = $3 and action = $4
       and status = 'approved' and valid_until > clock_timestamp() limit 1`,
    [tenantId, idBytes(artifactId), requester, action],
  );
  return rows.length > 0;
}

export async function getApproval(tx: Tx, tenantId: TenantId, id: string): Promise<ApprovalRecord> {
  const [row] = await tx.query<ApprovalRow>(
    `select ${COLUMNS} from approvals where tenant_id = $1 and approval_id = $2`,
    [tenantId, id],
  );
  if (row === undefined) throw new ProblemError('not_found', 'There is no such approval here.');
  return recordOf(row);
}

/** Newest first. */
export async function listApprovals(
  tx: Tx,
  tenantId: TenantId,
  filter: { readonly visibleTo: Address | undefined; readonly status?: ApprovalRecord['status'] },
  page: { readonly cursor?: string; readonly limit: number },
): Promise<Listing<ApprovalRecord>> {
  const rows = await tx.query<ApprovalRow>(
    `select * from (select a.tenant_id, ${COLUMNS} from approvals a where a.tenant_id = $1) q
     where ($2::text is null or q.status = $2)
       and ($3::text is null or q.requester = $3 or exists (select from artifacts t
         where t.tenant_id = $1 and t.artifact_id = q.artifact_id and t.sealer = $3))
       and ($4::uuid is null or (q.requested_at, q.approval_id) <
         (select b.requested_at, b.approval_id from approvals b where b.tenant_id = $1 and b.approval_id = $4))
     order by q.requested_at desc, q.approval_id desc limit ${page.limit + 1}`,
    [tenantId, filter.status ?? null, filter.visibleTo ?? null, page.cursor ?? null],
  );
  return pageOf(rows, page.limit, recordOf, (row) => row.approval_id);
}

export async function decideApproval(
  tx: Tx,
  tenantId: TenantId,
  id: string,
  decision: { readonly status: 'approved' | 'denied'; readonly by: Address; readonly validSeconds: number },
): Promise<ApprovalRecord> {
  const rows = await tx.query(
    `update approvals set status = $3, decided_by = $4, decided_at = clock_timestamp(),
       valid_until = case when $3 = 'approved' then clock_timestamp() + make_interval(secs => $5) end
     where tenant_id = $1 and approval_id = $2 and status = 'pending' returning 1`,
    [tenantId, id, decision.status, decision.by, decision.validSeconds],
  );
  const approval = await getApproval(tx, tenantId, id);
  if (rows.length === 0) throw new ProblemError('version_conflict', 'This was decided already.');
  return approval;
}
