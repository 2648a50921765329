/**
 * Turns capsules from one key to another through the CVS, a batch at a time. A batch that is done is filed and logged;
 * what is left is found again by its key, so a crash costs nothing but a repetition.
 */
import { createHash } from 'node:crypto';
import type { CapsuleId, KeyId, SubjectKind, TenantId } from '@astis/protocol';
import { fromBase64Url, toBase64Url } from '@astis/protocol';
import type { Event } from '@astis/store';
import { capsules } from '@astis/store';
import type { Gateway } from '../gateway.ts';

const BATCH = 64;

/** Returns how many were turned. What the CVS refuses stays as it is and is left out. */
export async function rewrapAll(
  { store, custody }: Pick<Gateway, 'store' | 'custody'>,
  tenantId: TenantId,
  from: KeyId,
  to: { readonly keyId: KeyId; readonly kind: SubjectKind },
  onBatch: (done: number) => Promise<void> = async () => undefined,
): Promise<number> {
  let total = 0;
  let after: CapsuleId | undefined;
  for (;;) {
    const last = after;
    const candidates = await store.transaction(tenantId, (tx) =>
      capsules.rewrapCandidates(tx, tenantId, from, last, BATCH),
    );
    if (candidates.length === 0) return total;
    const { results } = await custody.call('rewrap', {
      tenantId,
      targetKeyId: to.keyId,
      capsules: candidates.map((candidate) => ({
        ref: candidate.id,
        statement: toBase64Url(candidate.statement),
        sealerCertificate: toBase64Url(candidate.sealerCertificate),
        wrap: toBase64Url(candidate.wrap),
        links: candidate.links.map(toBase64Url),
        address: candidate.address,
      })),
    });
    const byRef = new Map(results.map((result) => [result.ref, result]));
    const done = await store.log.append(tenantId, async (tx) => {
      const events: Event[] = [];
      for (const candidate of candidates) {
        const { wrap, link } = byRef.get(candidate.id) ?? {};
        if (wrap === undefined || link === undefined) continue;
        const rewrapped = { wrap: fromBase64Url(wrap), link: fromBase64Url(link), ...to };
        if (!(await capsules.saveRewrap(tx, tenantId, candidate, rewrapped))) continue;
        events.push({
          kind: 'capsule.rewrapped',
          actor: 'system',
          subject: candidate.artifactId,
          data: {
            capsule: candidate.id,
            address: candidate.address,
            from,
            to: to.keyId,
            linkSha256: createHash('sha256').update(rewrapped.link).digest('base64url'),
          },
        });
      }
      return { events, finish: () => events.length };
    });
    total += done;
    await onBatch(done);
    after = candidates.at(-1)?.id;
  }
}
