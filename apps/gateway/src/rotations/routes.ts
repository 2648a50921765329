/** Rotations of the organisation's key. The work itself is a job (jobs/attend.ts), so it outlives the request. */
import { CustodyOrderBody, Page, PageQuery, Rotation } from '@astis/protocol';
import { rotations } from '@astis/store';
import { Type } from 'typebox';
import type { App } from '../app.ts';
import type { Gateway } from '../gateway.ts';
import { callerOf } from '../http/authentication.ts';
import { pageOf } from '../http/page.ts';
import { refusals } from '../http/problems.ts';
import { authorise } from '../policies/authorise.ts';
import { shown, startRotation } from './rotate.ts';

export function rotationRoutes(app: App, gateway: Gateway): void {
  const { store } = gateway;

  app.post(
    '/v1/organisation/rotations',
    {
      schema: {
        operationId: 'rotateOrganisationKey',
        summary: "Rotate the organisation's key and rewrap its capsules",
        tags: ['organisation'],
        body: CustodyOrderBody,
        response: { 202: Rotation, ...refusals },
      },
    },
    async (request, reply) =>
      reply.code(202).send(await startRotation(gateway, callerOf(request), request.ip, request.body.order)),
  );

  app.get(
    '/v1/organisation/rotations',
    {
      schema: {
        operationId: 'listRotations',
        summary: 'Rotations and how far each has got, newest first',
        tags: ['organisation'],
        querystring: PageQuery,
        response: { 200: Page(Rotation), ...refusals },
      },
    },
    async (request) => {
      const caller = callerOf(request);
      const { tenantId } = caller;
      const page = await store.transaction(tenantId, async (tx) => {
        await authorise(tx, gateway, caller, request.ip, { action: 'manageKeys' });
        return rotations.listRotations(tx, tenantId, pageOf(request.query));
      });
      return { ...page, items: page.items.map(shown) };
    },
  );

  app.get(
    '/v1/organisation/rotations/:id',
    {
      schema: {
        operationId: 'getRotation',
        summary: 'One rotation',
        tags: ['organisation'],
        params: Type.Object({ id: Type.String({ format: 'uuid' }) }),
        response: { 200: Rotation, ...refusals },
      },
    },
    (request) => {
      const caller = callerOf(request);
      return store.transaction(caller.tenantId, async (tx) => {
        await authorise(tx, gateway, caller, request.ip, { action: 'manageKeys' });
        return shown(await rotations.getRotation(tx, caller.tenantId, request.params.id));
      });
    },
  );
}
