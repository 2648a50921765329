/** Capsules: create, list, show, revoke, change the TTL. */
import {
  Artifact,
  ArtifactListItem,
  CapsuleCreate,
  CapsulesCreated,
  Page,
  PageQuery,
  parseArtifactId,
  RevokeRequest,
  TtlRequest,
} from '@astis/protocol';
import { capsules } from '@astis/store';
import { Type } from 'typebox';
import type { App } from '../app.ts';
import type { Gateway } from '../gateway.ts';
import { callerOf } from '../http/authentication.ts';
import { pageOf } from '../http/page.ts';
import { refusals } from '../http/problems.ts';
import { createCapsules } from './create.ts';
import { artifactShown, summaryShown } from './shown.ts';
import { revokeCapsules, setTtl } from './ttl.ts';
import { visibleArtifact } from './visible.ts';

const ByArtifact = Type.Object({ artifactId: Type.String({ pattern: '^[A-Za-z0-9_-]{22}$' }) });

export function capsuleRoutes(app: App, gateway: Gateway): void {
  const { store } = gateway;

  app.post(
    '/v1/capsules',
    {
      schema: {
        operationId: 'createCapsules',
        summary: 'Store the capsules of sealed artifacts, all or none',
        tags: ['capsules'],
        body: CapsuleCreate,
        response: { 201: CapsulesCreated, ...refusals },
      },
    },
    async (request, reply) => {
      const items = await createCapsules(gateway, callerOf(request), request.ip, request.body.items);
      return reply.code(201).send({ items });
    },
  );

  app.get(
    '/v1/artifacts',
    {
      schema: {
        operationId: 'listArtifacts',
        summary: 'Artifacts that one sealed or received (an admin: all), newest first',
        tags: ['capsules'],
        querystring: PageQuery,
        response: { 200: Page(ArtifactListItem), ...refusals },
      },
    },
    async (request) => {
      const { tenantId, address, role } = callerOf(request);
      const visibleTo = role === 'admin' ? undefined : address;
      const page = await store.transaction(tenantId, (tx) =>
        capsules.listArtifacts(tx, tenantId, visibleTo, pageOf(request.query)),
      );
      return { ...page, items: page.items.map(summaryShown) };
    },
  );

  app.get(
    '/v1/artifacts/:artifactId',
    {
      schema: {
        operationId: 'getArtifact',
        summary: 'An artifact and its capsules: who was released to, how often, until when',
        tags: ['capsules'],
        params: ByArtifact,
        response: { 200: Artifact, ...refusals },
      },
    },
    (request) => {
      const caller = callerOf(request);
      const id = parseArtifactId(request.params.artifactId);
      return store.transaction(caller.tenantId, async (tx) => {
        const { only } = await visibleArtifact(tx, caller, id);
        return artifactShown(tx, caller.tenantId, id, only);
      });
    },
  );

  app.post(
    '/v1/artifacts/:artifactId/revoke',
    {
      schema: {
        operationId: 'revokeCapsules',
        summary: 'End release for good',
        tags: ['capsules'],
        params: ByArtifact,
        body: RevokeRequest,
        response: { 200: Artifact, ...refusals },
      },
    },
    (request) =>
      revokeCapsules(
        gateway,
        callerOf(request),
        request.ip,
        parseArtifactId(request.params.artifactId),
        request.body,
      ),
  );

  app.post(
    '/v1/artifacts/:artifactId/ttl',
    {
      schema: {
        operationId: 'setTtl',
        summary: 'Shorten or extend the time to live',
        tags: ['capsules'],
        params: ByArtifact,
        body: TtlRequest,
        response: { 200: Artifact, ...refusals },
      },
    },
    (request) =>
      setTtl(
        gateway,
        callerOf(request),
        request.ip,
        parseArtifactId(request.params.artifactId),
        request.body,
      ),
  );
}
