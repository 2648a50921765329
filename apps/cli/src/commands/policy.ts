/** `astis policy` and `astis approval`. */
import { readFileSync } from 'node:fs';
import { diffPolicies, PolicyDocument } from '@astis/policy';
import { Approval, Page, Policy, PolicyChanged, PolicyDryRunAnswer } from '@astis/protocol';
import { Value } from 'typebox/value';
import type { Session } from '../session.ts';
import { UsageError } from '../terminal/exit.ts';
import { table, time } from '../terminal/output.ts';
import { artifactId, parseMoment } from '../terminal/values.ts';

function readDocument(file: string): unknown {
  const text = readFileSync(file === '-' ? 0 : file, 'utf8');
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError(`${file} is not JSON. \`astis policy get\` writes one to start from.`);
  }
}

export async function get({ client, output }: Session): Promise<void> {
  const policy = await client.get('/v1/policy', Policy);
  // The document alone, so that it can be edited and set again.
  output.result(policy, JSON.stringify(policy.document, null, 2));
}

export async function set({ client, output }: Session, file: string): Promise<void> {
  const { version } = await client.get('/v1/policy', Policy);
  const changed = await client.write(
    'PUT',
    '/v1/policy',
    { document: readDocument(file), expectedVersion: version },
    PolicyChanged,
    crypto.randomUUID(),
  );
  output.result(changed, `Version ${changed.version} is in force.\n${JSON.stringify(changed.diff, null, 2)}`);
}

export async function diff({ client, output }: Session, file: string): Promise<void> {
  const { document: before } = await client.get('/v1/policy', Policy);
  const after = readDocument(file);
  if (!Value.Check(PolicyDocument, before) || !Value.Check(PolicyDocument, after)) {
    throw new UsageError(`${file} is not a policy document; see docs/policy.md.`);
  }
  const changes = diffPolicies(before, after);
  output.result(changes, JSON.stringify(changes, null, 2));
}

export async function history({ client, output }: Session): Promise<void> {
  const page = await client.get('/v1/policy/versions', Page(Policy));
  const rows = page.items.map((policy) => [String(policy.version), policy.createdBy, time(policy.createdAt)]);
  output.result(page, table(['VERSION', 'BY', 'SET'], rows));
}

export interface CheckOptions {
  readonly policy?: string;
  readonly at?: string;
  readonly ip?: string;
}

export async function check(
  { client, output }: Session,
  artifact: string,
  options: CheckOptions,
): Promise<void> {
  const body = {
    artifactId: await artifactId(artifact),
    ...(options.policy === undefined ? {} : { document: readDocument(options.policy) }),
    ...(options.at === undefined ? {} : { at: parseMoment(options.at).toISOString() }),
    ...(options.ip === undefined ? {} : { ip: options.ip }),
  };
  const answer = await client.write('POST', '/v1/policy/dry-run', body, PolicyDryRunAnswer);
  const words = { allow: 'could open', deny: 'could not', approval_required: 'after approval' } as const;
  const rows = answer.people.map((person) => [
    person.address,
    words[person.outcome],
    person.reasons.join(' '),
    person.policies.join(', '),
  ]);
  output.result(answer, table(['PERSON', 'OPEN', 'WHY', 'POLICIES'], rows));
}

export async function approvals(
  { client, output }: Session,
  options: { readonly all?: boolean },
): Promise<void> {
  const page = await client.get('/v1/approvals', Page(Approval), {
    status: options.all === true ? undefined : 'pending',
  });
  const rows = page.items.map((approval) => [
    approval.id,
    approval.requester,
    approval.artifactId,
    approval.status,
    time(approval.requestedAt),
  ]);
  output.result(
    page,
    rows.length === 0
      ? 'Nothing waits for approval.'
      : table(['ID', 'ASKED BY', 'ARTIFACT', 'STATUS', 'ASKED'], rows),
  );
}

export async function decide(
  { client, output }: Session,
  id: string,
  decision: 'approve' | 'deny',
): Promise<void> {
  const approval = await client.write(
    'POST',
    `/v1/approvals/${encodeURIComponent(id)}`,
    { decision },
    Approval,
    crypto.randomUUID(),
  );
  const until = approval.validUntil === undefined ? '' : ` It holds until ${time(approval.validUntil)}.`;
  output.result(approval, `${approval.requester}: ${approval.status}.${until}`);
}
