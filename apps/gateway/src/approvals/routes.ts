/** The second person's say. */
import {
  Approval,
  ApprovalDecision,
  ApprovalStatus,
  ORGANISATION,
  Page,
  PageQuery,
  ProblemError,
} from '@astis/protocol';
import { approvals, capsules } from '@astis/store';
import { Type } from 'typebox';
import type { App } from '../app.ts';
import { policyCapsules } from '../capsules/ttl.ts';
import type { Gateway } from '../gateway.ts';
import { callerOf } from '../http/authentication.ts';
import { pageOf } from '../http/page.ts';
import { refusals } from '../http/problems.ts';
import { authorise } from '../policies/authorise.ts';
import { policyPerson } from '../policies/subjects.ts';

type Record = Awaited<ReturnType<typeof approvals.getApproval>>;

const shown = (approval: Record): Approval => ({
  id: approval.id,
  artifactId: approval.artifactId,
  requester: approval.requester,
  status: approval.status,
  requestedAt: approval.requestedAt.toISOString(),
  ...(approval.decidedBy === undefined ? {} : { decidedBy: approval.decidedBy }),
  ...(approval.decidedAt === undefined ? {} : { decidedAt: approval.decidedAt.toISOString() }),
  ...(approval.validUntil === undefined ? {} : { validUntil: approval.validUntil.toISOString() }),
});

export function approvalRoutes(app: App, gateway: Gateway): void {
  const { store } = gateway;

  app.get(
    '/v1/approvals',
    {
      schema: {
        operationId: 'listApprovals',
        summary: 'Approvals that were asked for: own, of what one sealed, and for an admin all',
        tags: ['approvals'],
        querystring: Type.Object({ ...PageQuery.properties, status: Type.Optional(ApprovalStatus) }),
        response: { 200: Page(Approval), ...refusals },
      },
    },
    async (request) => {
      const { tenantId, address, role } = callerOf(request);
      const { status } = request.query;
      const filter = {
        visibleTo: role === 'admin' ? undefined : address,
        ...(status === undefined ? {} : { status }),
      };
      const page = await store.transaction(tenantId, (tx) =>
        approvals.listApprovals(tx, tenantId, filter, pageOf(request.query)),
      );
      return { ...page, items: page.items.map(shown) };
    },
  );

  app.post(
    '/v1/approvals/:id',
    {
      schema: {
        operationId: 'decideApproval',
        summary: 'Approve or deny what somebody else asked for',
        tags: ['approvals'],
        params: Type.Object({ id: Type.String({ format: 'uuid' }) }),
        body: ApprovalDecision,
        response: { 200: Approval, ...refusals },
      },
    },
    (request) => {
      const caller = callerOf(request);
      const { tenantId } = caller;
      return store.log.append(tenantId, async (tx) => {
        const asked = await approvals.getApproval(tx, tenantId, request.params.id);
        if (asked.requester === caller.address)
          throw new ProblemError('forbidden', 'A second person must decide this.');
        const artifact = await capsules.getArtifact(tx, tenantId, asked.artifactId);
        const isRelease = asked.action === 'release';
        const [capsule] = await policyCapsules(tx, artifact, [isRelease ? asked.requester : ORGANISATION]);
        if (capsule === undefined) throw new ProblemError('not_found', 'There is no such approval here.');
        await authorise(tx, gateway, caller, request.ip, {
          action: isRelease ? 'approveRelease' : 'approveRecovery',
          capsule,
          requester: await policyPerson(tx, tenantId, asked.requester),
        });
        const { policy } = await store.policyCache.current(tx, tenantId);
        const status = request.body.decision === 'approve' ? 'approved' : 'denied';
        const decided = await approvals.decideApproval(tx, tenantId, asked.id, {
          status,
          by: caller.address,
          validSeconds: policy.document.approvalValidSeconds,
        });
        const data = { approval: asked.id, requester: asked.requester, action: asked.action };
        const events = [
          { kind: `approval.${status}`, actor: caller.address, subject: asked.artifactId, data },
        ];
        return { events, finish: () => shown(decided) };
      });
    },
  );
}
