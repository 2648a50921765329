/**
 * The release: the hot path. All releases that wait for a tenant are one job of its sequencer, so one transaction:
 * proofs are used up, capsules, people, approvals and the policy's version are read in one statement after the lock,
 * each is decided, and each decision is an entry. Whoever gets an answer, its entry is on disk.
 */
import { createHash } from 'node:crypto';
import type { AppendedBatch, AppendedEntry, NoteSigningKey } from '@astis/audit';
import { checkpointText, makeReceipt, signNote } from '@astis/audit';
import type { CompiledPolicy, PolicyPerson } from '@astis/policy';
import { decide } from '@astis/policy';
import type {
  Address,
  ArtifactId,
  CapsuleId,
  KeyId,
  PersonId,
  ProblemCode,
  Receipt,
  TenantId,
} from '@astis/protocol';
import { concat, ProblemError } from '@astis/protocol';
import type { Tx } from '../database.ts';
import type { Event, JobOutcome, LogTx, Sequencer } from '../log/sequencer.ts';
import { requestApprovals } from './approvals.ts';
import type { Denial } from './denials.ts';
import { countDenials } from './denials.ts';
import type { PolicyCache } from './policies.ts';
import { proofHash } from './requests.ts';
import { addressOf, bytes, idBytes, keyIdOf } from './rows.ts';

export interface ReleaseQuestion {
  readonly personId: PersonId;
  /** Of the certificate that the proof was checked with; another one by now means that the key was revoked. */
  readonly serial: number;
  /** The request's proof, used up by it. */
  readonly proofId: string;
  readonly proofExpiresAt: Date;
  readonly ip: string;
  readonly artifactIds: readonly ArtifactId[];
}

export interface GrantedRelease {
  readonly id: CapsuleId;
  readonly artifactId: ArtifactId;
  readonly address: Address;
  readonly keyId: KeyId;
  readonly wrap: Uint8Array;
  readonly statement: Uint8Array;
  readonly links: readonly Uint8Array[];
  readonly sealerCertificate: Uint8Array;
  readonly expiresAt: Date;
  readonly receipt: Receipt;
}

/** One answer for each artifact that was asked for, in order. */
export type ReleaseAnswer = GrantedRelease | ProblemError;

interface ReleaseRow {
  readonly proof_fresh: boolean;
  readonly now_ms: number;
  /** The latest time that the database's clock was seen to show. */
  readonly seen_ms: number;
  readonly policy_version: number | null;
  readonly address: string | null;
  readonly person_serial: number | null;
  readonly person_status: string | null;
  readonly admin: boolean | null;
  readonly outsider: boolean | null;
  readonly service: boolean | null;
  readonly hardware_backed: boolean | null;
  readonly groups: string[] | null;
  readonly capsule_id: CapsuleId | null;
  readonly key_id: Buffer;
  readonly wrap: Buffer;
  readonly links: Buffer[];
  readonly expires_at: Date;
  readonly revoked: boolean;
  readonly statement: Buffer;
  readonly labels: string[];
  readonly sealer: string;
  readonly sealed_at: Date;
  readonly certificate: Buffer;
  readonly sealer_admin: boolean | null;
  readonly sealer_outsider: boolean | null;
  readonly sealer_service: boolean | null;
  readonly sealer_hardware_backed: boolean | null;
  readonly sealer_groups: string[] | null;
  readonly approved: boolean;
  readonly checkpoint: string | null;
}

// Each side is looked up by its whole key for each row: `limit 1` keeps the planner from turning the lookups into
// joins of whole tables. `used` runs to its end whatever reads it; a proof id that stood there before is not in it.
const LOAD = `
  with used as (
    insert into proof_ids (tenant_id, proof_hash, expires_at)
    select $1, substring($2::bytea from i * 16 + 1 for 16), $3
    from generate_series(0, length($2::bytea) / 16 - 1) as i
    on conflict do nothing returning proof_hash
  )
  select substring($2::bytea from q.proof * 16 + 1 for 16) in (select proof_hash from used) as proof_fresh,
    floor(extract(epoch from clock_timestamp()) * 1000)::bigint as now_ms,
    (select latest_ms from clock) as seen_ms,
    (select version from policies where tenant_id = $1 order by version desc limit 1) as policy_version,
    (select note from checkpoints where tenant_id = $1 order by size desc limit 1) as checkpoint,
    p.address, p.serial as person_serial, p.status as person_status, p.role = 'admin' as admin, p.outsider,
    p.kind = 'service' as service, p.hardware_backed, p.groups,
    c.capsule_id, c.key_id, c.wrap, c.links, c.expires_at, c.revoked_at is not null as revoked,
    a.statement, a.labels, a.sealer, a.sealed_at, s.certificate,
    sp.role = 'admin' as sealer_admin, sp.outsider as sealer_outsider, sp.kind = 'service' as sealer_service,
    sp.hardware_backed as sealer_hardware_backed, sp.groups as sealer_groups,
    exists (select from approvals v where v.tenant_id = $1 and v.artifact_id = c.artifact_id
      and v.requester = p.address and v.action = 'release' and v.status = 'approved'
      and v.valid_until > clock_timestamp()) as approved
  from unnest($4::uuid[], $5::int[]) with ordinality as q(person_id, proof, i)
  left join lateral (select * from people p where p.tenant_id = $1 and p.person_id = q.person_id limit 1) p on true
  left join lateral (
    select * from capsules c where c.tenant_id = $1
      and c.artifact_id = substring($6::bytea from (q.i::int - 1) * 16 + 1 for 16) and c.address = p.address limit 1
  ) c on true
  left join lateral (
    select * from artifacts a where a.tenant_id = $1 and a.artifact_id = c.artifact_id limit 1
  ) a on true
  left join lateral (
    select * from certificates s where s.tenant_id = $1 and s.serial = a.sealer_serial limit 1
  ) s on true
  left join lateral (
    select * from people sp where sp.tenant_id = $1 and sp.address = a.sealer and sp.status <> 'removed' limit 1
  ) sp on true
  order by q.i`;

interface Waiting {
  readonly question: ReleaseQuestion;
  resolve(answers: readonly ReleaseAnswer[]): void;
  reject(error: unknown): void;
}

/** What became of one artifact of one question. */
interface Ruling {
  readonly waiting: Waiting;
  readonly artifactId: ArtifactId;
  readonly row: ReleaseRow;
  readonly refusal: Refusal | undefined;
}

interface Refusal {
  readonly problem: ProblemError;
  /** Ids of the policies that refused. */
  readonly policies: readonly string[];
}

/** Less than this is the clock being set right, and not a step. Decisions go by the later of the two times. */
const CLOCK_TOLERANCE_MS = 1000;

const UNKNOWN = 'There is no capsule of this artifact for you here.';

/** Most artifacts of a batch. More would keep the log locked for long, and others waiting. */
const MAX_ARTIFACTS = 1024;

export class Releases {
  readonly #sequencer: Sequencer;
  readonly #policies: PolicyCache;
  readonly #receiptKey: NoteSigningKey;
  readonly #waiting = new Map<TenantId, Waiting[]>();

  constructor(sequencer: Sequencer, policies: PolicyCache, receiptKey: NoteSigningKey) {
    this.#sequencer = sequencer;
    this.#policies = policies;
    this.#receiptKey = receiptKey;
  }

  /** Answers in the next batch of the tenant. Rejects, with nothing released, when the log can't be appended to. */
  ask(tenantId: TenantId, question: ReleaseQuestion): Promise<readonly ReleaseAnswer[]> {
    return new Promise((resolve, reject) => {
      const asked = { question, resolve, reject };
      const waiting = this.#waiting.get(tenantId);
      if (waiting === undefined) {
        this.#waiting.set(tenantId, [asked]);
        this.#enqueue(tenantId);
      } else waiting.push(asked);
    });
  }

  #enqueue(tenantId: TenantId): void {
    let batch: readonly Waiting[] | undefined;
    this.#sequencer
      .appendStarted(tenantId, (session) => {
        // A batch that is started over keeps its questions; whoever asks from here on waits for the next.
        batch ??= this.#take(tenantId);
        const questions = batch;
        const asked = questions.flatMap((waiting) =>
          waiting.question.artifactIds.map((artifactId) => ({ waiting, artifactId })),
        );
        const rows = load(session, tenantId, questions, asked);
        rows.catch(() => undefined);
        return async (tx) => this.#rule(tx, questions, asked, await rows);
      })
      .catch((error: unknown) => {
        for (const { reject } of batch ?? this.#take(tenantId)) reject(error);
      });
  }

  #take(tenantId: TenantId): readonly Waiting[] {
    const waiting = this.#waiting.get(tenantId) ?? [];
    let artifacts = 0;
    const room = waiting.findIndex(({ question }, i) => {
      artifacts += question.artifactIds.length;
      return i > 0 && artifacts > MAX_ARTIFACTS;
    });
    const batch = room === -1 ? waiting : waiting.slice(0, room);
    const left = waiting.slice(batch.length);
    if (left.length === 0) this.#waiting.delete(tenantId);
    else {
      this.#waiting.set(tenantId, left);
      this.#enqueue(tenantId);
    }
    return batch;
  }

  async #rule(
    tx: LogTx,
    batch: readonly Waiting[],
    asked: readonly Asked[],
    rows: readonly ReleaseRow[],
  ): Promise<JobOutcome<void>> {
    const version = rows[0]?.policy_version;
    const policy = version == null ? undefined : await this.#policies.get(tx, tx.tenantId, version);
    const fresh = freshProofs(batch, asked, rows);
    const rulings = asked.map(({ waiting, artifactId }, i): Ruling => {
      const row = rows[i];
      if (row === undefined)
        throw new ProblemError('internal', 'The store did not answer for every artifact.');
      const refusal = fresh.has(waiting)
        ? refusalOf(tx, waiting.question, row, artifactId, policy)
        : refused('proof_replayed', 'Sign a new proof for each request.');
      return { waiting, artifactId, row, refusal };
    });
    const events: Event[] = [];
    const granted = new Map<Ruling, number>();
    for (const ruling of rulings) {
      if (ruling.refusal !== undefined) continue;
      granted.set(ruling, events.length);
      events.push(grantOf(ruling));
    }
    const denials = rulings.flatMap((ruling) => denialOf(ruling) ?? []);
    events.push(...(await countDenials(tx, denials)), ...(await askForApprovals(tx, rulings)));
    return {
      events,
      finish: (entries, appended) => this.#answer(tx.origin, batch, rulings, granted, entries, appended),
    };
  }

  #answer(
    origin: string,
    batch: readonly Waiting[],
    rulings: readonly Ruling[],
    granted: ReadonlyMap<Ruling, number>,
    entries: readonly AppendedEntry[],
    appended: AppendedBatch,
  ): void {
    const note =
      granted.size === 0
        ? ''
        : signNote(checkpointText(origin, appended.head.size, appended.root), [this.#receiptKey]);
    const answers = new Map<Waiting, ReleaseAnswer[]>(batch.map((waiting) => [waiting, []]));
    for (const ruling of rulings) {
      const entry = entries[granted.get(ruling) ?? -1];
      const checkpoint = ruling.row.checkpoint ?? undefined;
      const answer =
        entry === undefined
          ? (ruling.refusal?.problem ?? new ProblemError('audit_unavailable', 'The release was not logged.'))
          : releaseOf(ruling, makeReceipt(appended, entry.seq, note, checkpoint));
      answers.get(ruling.waiting)?.push(answer);
    }
    for (const [{ resolve }, list] of answers) resolve(list);
  }
}

interface Asked {
  readonly waiting: Waiting;
  readonly artifactId: ArtifactId;
}

function load(
  session: Tx,
  tenantId: TenantId,
  batch: readonly Waiting[],
  asked: readonly Asked[],
): Promise<readonly ReleaseRow[]> {
  const places = new Map(batch.map((waiting, i) => [waiting, i]));
  const expiry = Math.max(...batch.map(({ question }) => question.proofExpiresAt.getTime()));
  return session.query<ReleaseRow>(
    LOAD,
    [
      tenantId,
      concat(...batch.map(({ question }) => proofHash(question.proofId))),
      // One for all, and for none too soon.
      new Date(expiry),
      asked.map(({ waiting }) => waiting.question.personId),
      asked.map(({ waiting }) => places.get(waiting) ?? 0),
      concat(...asked.map(({ artifactId }) => idBytes(artifactId))),
    ],
    'releases.load',
  );
}

/** The questions whose proof was used for the first time. The first of two equal ones in a batch is one of them. */
function freshProofs(
  batch: readonly Waiting[],
  asked: readonly Asked[],
  rows: readonly ReleaseRow[],
): ReadonlySet<Waiting> {
  const first = new Map<string, Waiting>();
  for (const waiting of batch) {
    if (!first.has(waiting.question.proofId)) first.set(waiting.question.proofId, waiting);
  }
  return new Set(
    asked
      .filter(({ waiting }, i) => rows[i]?.proof_fresh && first.get(waiting.question.proofId) === waiting)
      .map(({ waiting }) => waiting),
  );
}

const refused = (
  code: ProblemCode,
  detail: string,
  decision: { readonly policies: readonly string[]; readonly reasons?: readonly string[] } = { policies: [] },
): Refusal => ({
  problem: new ProblemError(
    code,
    detail,
    decision.reasons === undefined ? {} : { reasons: [...decision.reasons] },
  ),
  policies: decision.policies,
});

function refusalOf(
  tx: LogTx,
  question: ReleaseQuestion,
  row: ReleaseRow,
  artifactId: ArtifactId,
  policy: CompiledPolicy | undefined,
): Refusal | undefined {
  if (row.person_status !== 'active' || row.person_serial !== question.serial) {
    return refused('key_revoked', 'This key is not the registered one any more.');
  }
  const seenMs = Math.max(row.seen_ms, tx.lastTimeMs);
  if (row.now_ms < seenMs - CLOCK_TOLERANCE_MS) {
    return refused('clock_stepped_back', "The database's clock reads less than it did before.");
  }
  const nowMs = Math.max(row.now_ms, seenMs);
  if (row.capsule_id === null) return refused('not_found', UNKNOWN);
  if (row.revoked) return refused('revoked', `The capsule was revoked. Ask ${row.sealer}.`);
  if (row.expires_at.getTime() <= nowMs) {
    const end = row.expires_at.toISOString();
    return refused('expired', `Release ended on ${end}. Ask ${row.sealer} to extend it.`);
  }
  if (policy === undefined) return refused('denied_by_policy', 'There is no policy, so nothing is allowed.');
  const principal = principalOf(row);
  const decision = decide(policy, {
    action: 'release',
    principal,
    now: Math.floor(nowMs / 1000),
    ip: question.ip,
    approved: row.approved,
    capsule: {
      id: artifactId,
      labels: row.labels,
      sealer: sealerOf(row),
      recipient: principal,
      sealedAt: Math.floor(row.sealed_at.getTime() / 1000),
      expiresAt: Math.floor(row.expires_at.getTime() / 1000),
    },
  });
  if (decision.outcome === 'allow') return undefined;
  if (decision.outcome === 'approval_required')
    return refused('approval_required', 'A second person must approve this first.', decision);
  return refused('denied_by_policy', `Policy refuses the release: ${decision.reasons.join(' ')}`, decision);
}

const principalOf = (row: ReleaseRow): PolicyPerson => ({
  address: row.address ?? '',
  admin: row.admin ?? false,
  outsider: row.outsider ?? true,
  service: row.service ?? false,
  hardwareBacked: row.hardware_backed ?? false,
  groups: row.groups ?? [],
});

const sealerOf = (row: ReleaseRow): PolicyPerson => ({
  address: row.sealer,
  admin: row.sealer_admin ?? false,
  outsider: row.sealer_outsider ?? true,
  service: row.sealer_service ?? false,
  hardwareBacked: row.sealer_hardware_backed ?? false,
  groups: row.sealer_groups ?? [],
});

const grantOf = ({ row, artifactId }: Ruling): Event => ({
  kind: 'release.granted',
  actor: row.address ?? '',
  subject: artifactId,
  data: {
    capsule: row.capsule_id,
    keyId: keyIdOf(row.key_id),
    policy: row.policy_version,
    wrapSha256: createHash('sha256').update(row.wrap).digest('base64url'),
  },
});

function denialOf({ refusal, row, artifactId }: Ruling): Denial | undefined {
  if (refusal === undefined || row.address === null) return undefined;
  return {
    address: addressOf(row.address),
    // Ids that are made up share one subject, or each would be an entry of its own.
    subject: row.capsule_id === null ? '' : artifactId,
    code: refusal.problem.code,
    policies: refusal.policies,
  };
}

/** Files the questions for a second person, and tells the requesters by which id to find theirs. */
async function askForApprovals(tx: LogTx, rulings: readonly Ruling[]): Promise<readonly Event[]> {
  const wanting = rulings.flatMap(({ refusal, row, artifactId }) =>
    refusal?.problem.code !== 'approval_required' || row.address === null
      ? []
      : [{ refusal, artifactId, requester: addressOf(row.address) }],
  );
  const events: Event[] = [];
  const answers = await requestApprovals(tx, tx.tenantId, 'release', wanting);
  for (const [i, { refusal, artifactId, requester }] of wanting.entries()) {
    const answer = answers[i];
    if (answer === undefined) continue;
    refusal.problem.extras.approvalId = answer.id;
    if (!answer.isNew) continue;
    const data = { approval: answer.id, action: 'release' };
    events.push({ kind: 'approval.requested', actor: requester, subject: artifactId, data });
  }
  return events;
}

const releaseOf = ({ row, artifactId }: Ruling, receipt: Receipt): ReleaseAnswer =>
  row.capsule_id === null || row.address === null
    ? new ProblemError('not_found', UNKNOWN)
    : {
        id: row.capsule_id,
        artifactId,
        address: addressOf(row.address),
        keyId: keyIdOf(row.key_id),
        wrap: bytes(row.wrap),
        statement: bytes(row.statement),
        links: row.links.map(bytes),
        sealerCertificate: bytes(row.certificate),
        expiresAt: row.expires_at,
        receipt,
      };
