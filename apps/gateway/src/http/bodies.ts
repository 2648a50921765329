/** Bodies: JSON (and the form of the token endpoint), with the digest of their bytes for the proof. */
import { createHash } from 'node:crypto';
import { ProblemError } from '@astis/protocol';
import type { FastifyInstance, FastifyRequest } from 'fastify';

export const MAX_BODY_BYTES: number = 4 << 20;

function parseJson(text: string): unknown {
  try {
    // A key such as __proto__ is data here and goes no further than the schema, which allows no unknown key.
    return JSON.parse(text);
  } catch {
    throw new ProblemError('invalid_request', 'The body is not JSON.');
  }
}

export function installBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>(
    'application/json',
    { parseAs: 'buffer' },
    async (request: FastifyRequest, body: Buffer) => {
      request.bodyDigest = createHash('sha256').update(body).digest('base64url');
      return body.length === 0 ? undefined : parseJson(body.toString('utf8'));
    },
  );
  app.addContentTypeParser<string>(
    'application/x-www-form-urlencoded',
    { parseAs: 'string', bodyLimit: 16_384 },
    async (_request: FastifyRequest, body: string) => Object.fromEntries(new URLSearchParams(body)),
  );
}
