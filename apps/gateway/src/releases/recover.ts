/** Recovery: the organisation's own capsule rewrapped to the admin who orders it, where the organisation allows that. */
import type { Artifact } from '@astis/protocol';
import {
  decodeCertificate,
  decodeCustodyOrder,
  decodeSign1,
  fromBase64Url,
  kemKeyId,
  ORGANISATION,
  ProblemError,
  parseArtifactId,
  parseCapsuleId,
  toBase64Url,
} from '@astis/protocol';
import type { JobOutcome } from '@astis/store';
import { approvals, capsules, people } from '@astis/store';
import { artifactShown } from '../capsules/shown.ts';
import { policyCapsules } from '../capsules/ttl.ts';
import { NO_ARTIFACT } from '../capsules/visible.ts';
import type { Gateway } from '../gateway.ts';
import type { Caller } from '../http/authentication.ts';
import { decodeBytes } from '../http/decoding.ts';
import { authorise } from '../policies/authorise.ts';

/** What to send to the CVS, or the refusal where an approval was asked for. */
interface Prepared {
  readonly candidate: NonNullable<Awaited<ReturnType<typeof capsules.capsuleForCustody>>>;
  readonly asked: ProblemError | undefined;
}

export async function recover(
  gateway: Gateway,
  caller: Caller,
  ip: string,
  orderText: string,
): Promise<Artifact> {
  const { store, custody } = gateway;
  const { tenantId, address } = caller;
  const order = decodeCustodyOrder(
    decodeSign1(decodeBytes(orderText, 'order'), 'astis/custody-order').payload,
  );
  const artifactId = parseArtifactId(order.subject);
  const { candidate, asked } = await store.log.append(tenantId, async (tx): Promise<JobOutcome<Prepared>> => {
    const { policy } = await store.policyCache.current(tx, tenantId);
    if (!policy.document.recovery)
      throw new ProblemError('recovery_disabled', 'Have recovery turned on in the policy first.');
    const found = await capsules.capsuleForCustody(tx, tenantId, artifactId, ORGANISATION);
    if (found === undefined || caller.role !== 'admin') throw new ProblemError('not_found', NO_ARTIFACT);
    const artifact = await capsules.getArtifact(tx, tenantId, artifactId);
    const [capsule] = await policyCapsules(tx, artifact, [ORGANISATION]);
    if (capsule === undefined) throw new ProblemError('not_found', NO_ARTIFACT);
    const approved = await approvals.isApproved(tx, tenantId, artifactId, address, 'recover');
    try {
      await authorise(tx, gateway, caller, ip, { action: 'recover', capsule, approved });
    } catch (error) {
      if (!(error instanceof ProblemError) || error.code !== 'approval_required') throw error;
      const { id, isNew } = await approvals.requestApproval(tx, tenantId, artifactId, address, 'recover');
      error.extras.approvalId = id;
      const data = { approval: id, action: 'recover' };
      const events = isNew ? [{ kind: 'approval.requested', actor: address, subject: artifactId, data }] : [];
      // The question must be stored though the recovery is refused, so the refusal is a result here.
      return { events, finish: () => ({ candidate: found, asked: error }) };
    }
    return { events: [], finish: () => ({ candidate: found, asked: undefined }) };
  });
  if (asked !== undefined) throw asked;
  const result = await custody.call('recover', {
    tenantId,
    order: orderText,
    capsule: {
      ref: candidate.id,
      statement: toBase64Url(candidate.statement),
      sealerCertificate: toBase64Url(candidate.sealerCertificate),
      wrap: toBase64Url(candidate.wrap),
      links: candidate.links.map(toBase64Url),
      address: ORGANISATION,
    },
  });
  const { wrap, link } = result;
  if (wrap === undefined || link === undefined) {
    throw new ProblemError('target_refused', 'The key custody service refuses the recovery.');
  }
  return store.log.append(tenantId, async (tx) => {
    const { certificate } = await people.certificateBySerial(tx, tenantId, caller.serial);
    const { kem, kemKey, kind } = decodeCertificate(
      decodeSign1(certificate, 'astis/key-certificate').payload,
    );
    const keyId = kemKeyId(kem, kemKey);
    await capsules.addRecovered(tx, tenantId, artifactId, {
      id: parseCapsuleId(crypto.randomUUID()),
      address,
      keyId,
      kind,
      wrap: fromBase64Url(wrap),
      links: [...candidate.links, fromBase64Url(link)],
      expiresAt: candidate.notAfter,
    });
    const shown = await artifactShown(tx, tenantId, artifactId);
    const events = [{ kind: 'recovery.granted', actor: address, subject: artifactId, data: { keyId } }];
    return { events, finish: () => shown };
  });
}
