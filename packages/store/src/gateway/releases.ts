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
import type { Address, ArtifactId, CapsuleId, KeyId, PersonId, Receipt, TenantId } from '@astis/protocol';
import { ProblemError } from '@astis/protocol';
import type { Event, JobOutcome, LogTx, Sequencer } from '../log/sequencer.ts';
import { requestApproval } from './approvals.ts';
import type { Denial } from './denials.ts';
import { countDenials } from './denials.ts';
import type { PolicyCache } from './policies.ts';
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
  readonly i: number;
  readonly proof_fresh: boolean;
  readonly now_ms: number;
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

// `used` runs to its end whatever reads it. A proof id that stood there before is not in it.
const LOAD = `
  with used as (
    insert into proof_ids (tenant_id, proof_id, expires_at)
    select $1, p.id, p.expires_at from unnest($2::text[], $3::timestamptz[]) as p(id, expires_at)
    on conflict do nothing returning proof_id
  )
  select q.i::int as i, u.proof_id is not null as proof_fresh,
    floor(extract(epoch from clock_timestamp()) * 1000)::bigint as now_ms,
    (select max(version) from policies where tenant_id = $1) as policy_version,
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
  from unnest($4::uuid[], $5::text[], $6::text[]) with ordinality as q(person_id, artifact_id, proof_id, i)
  left join used u on u.proof_id = q.proof_id
  left join people p on p.tenant_id = $1 and p.person_id = q.person_id
  left join capsules c on c.tenant_id = $1 and c.artifact_id = decode(q.artifact_id, 'hex') and c.address = p.address
  left join artifacts a on a.tenant_id = $1 and a.artifact_id = c.artifact_id
  left join certificates s on s.tenant_id = $1 and s.serial = a.sealer_serial
  left join people sp on sp.tenant_id = $1 and sp.address = a.sealer and sp.status <> 'removed'
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
  readonly refusal: ProblemError | undefined;
}

const UNKNOWN = 'There is no capsule of this artifact for you here.';

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
      const waiting = this.#waiting.get(tenantId);
      if (waiting !== undefined) {
        waiting.push({ question, resolve, reject });
        return;
      }
      const first: Waiting[] = [{ question, resolve, reject }];
      this.#waiting.set(tenantId, first);
      let batch: readonly Waiting[] = first;
      this.#sequencer
        .append(tenantId, (tx) => {
          // From here on, whoever asks waits for the next batch.
          this.#waiting.delete(tenantId);
          batch = first;
          return this.#rule(tx, first);
        })
        .catch((error: unknown) => {
          if (this.#waiting.get(tenantId) === first) this.#waiting.delete(tenantId);
          for (const { reject: fail } of batch) fail(error);
        });
    });
  }

  async #rule(tx: LogTx, batch: readonly Waiting[]): Promise<JobOutcome<void>> {
    const rulings = await this.#load(tx, batch);
    const events: Event[] = [];
    const granted = new Map<Ruling, number>();
    for (const ruling of rulings) {
      if (ruling.refusal !== undefined) continue;
      granted.set(ruling, events.length);
      events.push(grantOf(ruling));
    }
    const denials = rulings.flatMap((ruling) => denialOf(ruling) ?? []);
    events.push(...(await countDenials(tx, denials)));
    for (const ruling of rulings) {
      const { refusal, row, artifactId } = ruling;
      if (refusal?.code !== 'approval_required' || row.address === null) continue;
      const requester = addressOf(row.address);
      const { id, isNew } = await requestApproval(tx, tx.tenantId, artifactId, requester, 'release');
      refusal.extras.approvalId = id;
      if (isNew) {
        events.push({
          kind: 'approval.requested',
          actor: requester,
          subject: artifactId,
          data: { approval: id },
        });
      }
    }
    return {
      events,
      finish: (entries, appended) => this.#answer(tx.origin, batch, rulings, granted, entries, appended),
    };
  }

  async #load(tx: LogTx, batch: readonly Waiting[]): Promise<readonly Ruling[]> {
    const asked = batch.flatMap((waiting) =>
      waiting.question.artifactIds.map((artifactId) => ({ waiting, artifactId })),
    );
    const proofs = new Map<string, Waiting>();
    for (const waiting of batch) {
      // The first of two equal proofs in one batch wins; the second is a replay like any other.
      if (!proofs.has(waiting.question.proofId)) proofs.set(waiting.question.proofId, waiting);
    }
    const rows = await tx.query<ReleaseRow>(
      LOAD,
      [
        tx.tenantId,
        [...proofs.keys()],
        [...proofs.values()].map(({ question }) => question.proofExpiresAt),
        asked.map(({ waiting }) => waiting.question.personId),
        asked.map(({ artifactId }) => Buffer.from(idBytes(artifactId)).toString('hex')),
        asked.map(({ waiting }) => waiting.question.proofId),
      ],
      'releases.load',
    );
    const version = rows[0]?.policy_version;
    const policy = version == null ? undefined : await this.#policies.get(tx, tx.tenantId, version);
    return asked.map(({ waiting, artifactId }, i) => {
      const row = rows[i];
      if (row === undefined)
        throw new ProblemError('internal', 'The store did not answer for every artifact.');
      const fresh = row.proof_fresh && proofs.get(waiting.question.proofId) === waiting;
      return {
        waiting,
        artifactId,
        row,
        refusal: refusalOf(tx, waiting.question, row, fresh, artifactId, policy),
      };
    });
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
      const refusal = ruling.refusal ?? new ProblemError('audit_unavailable', 'The release was not logged.');
      answers
        .get(ruling.waiting)
        ?.push(
          entry === undefined
            ? refusal
            : releaseOf(ruling, makeReceipt(appended, entry.seq, note, ruling.row.checkpoint ?? undefined)),
        );
    }
    for (const [{ resolve }, list] of answers) resolve(list);
  }
}

function refusalOf(
  tx: LogTx,
  question: ReleaseQuestion,
  row: ReleaseRow,
  fresh: boolean,
  artifactId: ArtifactId,
  policy: CompiledPolicy | undefined,
): ProblemError | undefined {
  if (!fresh) return new ProblemError('proof_replayed', 'Sign a new proof for each request.');
  if (row.person_status !== 'active' || row.person_serial !== question.serial) {
    return new ProblemError('key_revoked', 'This key is not the registered one any more.');
  }
  if (row.now_ms < tx.lastTimeMs) {
    return new ProblemError(
      'clock_stepped_back',
      "The database's clock reads less than the log's newest entry.",
    );
  }
  if (row.capsule_id === null) return new ProblemError('not_found', UNKNOWN);
  if (row.revoked) return new ProblemError('revoked', `The capsule was revoked. Ask ${row.sealer}.`);
  if (row.expires_at.getTime() <= row.now_ms) {
    return new ProblemError(
      'expired',
      `Release ended on ${row.expires_at.toISOString()}. Ask ${row.sealer} to extend it.`,
    );
  }
  if (policy === undefined)
    return new ProblemError('denied_by_policy', 'There is no policy, so nothing is allowed.');
  const principal = principalOf(row);
  const decision = decide(policy, {
    action: 'release',
    principal,
    now: Math.floor(row.now_ms / 1000),
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
  const reasons = [...decision.reasons];
  if (decision.outcome === 'approval_required') {
    return new ProblemError('approval_required', 'A second person must approve this first.', { reasons });
  }
  return new ProblemError('denied_by_policy', `Policy refuses the release: ${reasons.join(' ')}`, {
    reasons,
  });
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
  const known = row.capsule_id !== null;
  return {
    address: addressOf(row.address),
    subject: known ? artifactId : '',
    code: refusal.code,
    policies: [],
  };
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
