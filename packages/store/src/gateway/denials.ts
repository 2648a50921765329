/**
 * Denials are logged, but can't flood the log: the first of its kind (who, what, why) is an entry at once; those that
 * repeat within a minute are counted here, durably, and stand in one entry afterwards. All of it runs under the lock
 * on the log's head, so rows are read and written without a race.
 */
import type { Address } from '@astis/protocol';
import type { Event, LogTx } from '../log/sequencer.ts';

export interface Denial {
  readonly address: Address;
  /** Artifact id; empty where the artifact is not known, so that made-up ids share one row. */
  readonly subject: string;
  readonly code: string;
  readonly policies: readonly string[];
}

const WINDOW_SECONDS = 60;

const eventOf = (
  denial: Omit<Denial, 'policies'>,
  repeats: number,
  policies: readonly string[] = [],
): Event => ({
  kind: 'release.denied',
  actor: denial.address,
  subject: denial.subject,
  data: {
    code: denial.code,
    ...(policies.length > 0 ? { policies } : {}),
    ...(repeats > 0 ? { repeats } : {}),
  },
});

interface DenialRow {
  readonly address: Address;
  readonly subject: string;
  readonly code: string;
  readonly repeats: number;
  readonly is_over: boolean;
}

const keyOf = ({ address, subject, code }: Omit<Denial, 'policies'>): string =>
  `${address} ${subject} ${code}`;

/** Counts denials and says which entries are due. */
export async function countDenials(tx: LogTx, denials: readonly Denial[]): Promise<readonly Event[]> {
  if (denials.length === 0) return [];
  const counts = new Map<string, { readonly denial: Denial; count: number }>();
  for (const denial of denials) {
    const known = counts.get(keyOf(denial));
    if (known === undefined) counts.set(keyOf(denial), { denial, count: 1 });
    else known.count++;
  }
  const list = [...counts.values()];
  const columns = [
    list.map(({ denial }) => denial.address),
    list.map(({ denial }) => denial.subject),
    list.map(({ denial }) => denial.code),
  ];
  const rows = await tx.query<DenialRow>(
    `select d.address, d.subject, d.code, d.repeats, d.window_end <= clock_timestamp() as is_over
     from unnest($2::text[], $3::text[], $4::text[]) as x(address, subject, code)
     join denials d on d.tenant_id = $1 and d.address = x.address and d.subject = x.subject and d.code = x.code`,
    [tx.tenantId, ...columns],
  );
  const before = new Map(rows.map((row) => [keyOf(row), row]));
  const events: Event[] = [];
  const repeats: number[] = [];
  for (const { denial, count } of list) {
    const row = before.get(keyOf(denial));
    const due = row === undefined || row.is_over;
    if (due) events.push(eventOf(denial, row?.repeats ?? 0, denial.policies));
    repeats.push(due ? count - 1 : row.repeats + count);
  }
  await tx.query(
    `insert into denials as d (tenant_id, address, subject, code, window_end, repeats)
     select $1, x.address, x.subject, x.code, clock_timestamp() + make_interval(secs => ${WINDOW_SECONDS}), x.repeats
     from unnest($2::text[], $3::text[], $4::text[], $5::int[]) as x(address, subject, code, repeats)
     on conflict (tenant_id, address, subject, code) do update set repeats = excluded.repeats,
       window_end = case when d.window_end <= clock_timestamp() then excluded.window_end else d.window_end end`,
    [tx.tenantId, ...columns, repeats],
  );
  return events;
}

/** Entries for what was counted in windows that are over. Run now and then. */
export async function flushDenials(tx: LogTx): Promise<readonly Event[]> {
  const rows = await tx.query<DenialRow>(
    `delete from denials where tenant_id = $1 and window_end <= clock_timestamp()
     returning address, subject, code, repeats, true as is_over`,
    [tx.tenantId],
  );
  return rows.filter((row) => row.repeats > 0).map((row) => eventOf(row, row.repeats));
}
