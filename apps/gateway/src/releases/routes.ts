/** Releases. The decision, its entry in the log and the answer are one transaction of the store. */
import type { ArtifactId } from '@astis/protocol';
import {
  Artifact,
  CustodyOrderBody,
  Problem,
  ProblemError,
  parseArtifactId,
  Release,
  ReleaseBatchRequest,
  ReleaseRequest,
  toBase64Url,
} from '@astis/protocol';
import type { GrantedRelease, ReleaseAnswer } from '@astis/store';
import type { FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import { Type } from 'typebox';
import type { App } from '../app.ts';
import type { Gateway } from '../gateway.ts';
import { callerOf } from '../http/authentication.ts';
import { refusals } from '../http/problems.ts';
import { recover } from './recover.ts';

const ReleaseBatch = Type.Object({
  items: Type.Array(
    Type.Object({
      artifactId: Type.String(),
      release: Type.Optional(Release),
      problem: Type.Optional(Problem),
    }),
    { description: 'One for each artifact, in order: a release or the problem that it was refused with' },
  ),
});

const shown = (granted: GrantedRelease): Static<typeof Release> => ({
  capsule: {
    id: granted.id,
    artifactId: granted.artifactId,
    address: granted.address,
    keyId: granted.keyId,
    wrap: toBase64Url(granted.wrap),
    statement: toBase64Url(granted.statement),
    links: granted.links.map(toBase64Url),
    sealerCertificate: toBase64Url(granted.sealerCertificate),
    expiresAt: granted.expiresAt.toISOString(),
  },
  receipt: granted.receipt,
});

// Refusals of the whole request, not of one artifact.
const isOfRequest = (answer: ReleaseAnswer | undefined): answer is ProblemError =>
  answer instanceof ProblemError && ['proof_replayed', 'key_revoked'].includes(answer.code);

export function releaseRoutes(app: App, gateway: Gateway): void {
  const ask = (
    request: FastifyRequest,
    artifactIds: readonly ArtifactId[],
  ): Promise<readonly ReleaseAnswer[]> => {
    const { tenantId, personId, serial, proof } = callerOf(request);
    return gateway.store.releases.ask(tenantId, {
      personId,
      serial,
      proofId: proof.id,
      proofExpiresAt: proof.expiresAt,
      ip: request.ip,
      artifactIds,
    });
  };

  app.post(
    '/v1/releases',
    {
      config: { authentication: 'in-release' },
      schema: {
        operationId: 'release',
        summary: 'Ask for the own capsule of an artifact',
        description:
          'Never cached and never replayed: each request is decided anew, and each decision is logged.',
        tags: ['releases'],
        body: ReleaseRequest,
        response: { 200: Release, ...refusals },
      },
    },
    async (request) => {
      const [answer] = await ask(request, [parseArtifactId(request.body.artifactId)]);
      if (answer === undefined) throw new ProblemError('internal', 'The release was not decided.');
      if (answer instanceof ProblemError) throw answer;
      return shown(answer);
    },
  );

  app.post(
    '/v1/releases/batch',
    {
      config: { authentication: 'in-release' },
      schema: {
        operationId: 'releaseBatch',
        summary: 'Ask for the own capsules of up to 256 artifacts',
        tags: ['releases'],
        body: ReleaseBatchRequest,
        response: { 200: ReleaseBatch, ...refusals },
      },
    },
    async (request) => {
      const ids = request.body.artifactIds.map(parseArtifactId);
      const answers = await ask(request, ids);
      const whole = answers[0];
      if (isOfRequest(whole)) throw whole;
      return {
        items: answers.map((answer, i) => ({
          artifactId: ids[i] ?? '',
          ...(answer instanceof ProblemError ? { problem: answer.toProblem() } : { release: shown(answer) }),
        })),
      };
    },
  );

  app.post(
    '/v1/recoveries',
    {
      schema: {
        operationId: 'recover',
        summary: "Have the organisation's capsule of an artifact rewrapped to oneself",
        description:
          'For admins, where policy turned recovery on. The artifact then has a capsule to ask the release of.',
        tags: ['releases'],
        body: CustodyOrderBody,
        response: { 200: Artifact, ...refusals },
      },
    },
    (request) => recover(gateway, callerOf(request), request.ip, request.body.order),
  );
}
