/** Every error becomes an RFC 9457 problem here. What we did not expect becomes `internal`, and only the log knows more. */
import { CryptoError } from '@astis/crypto';
import type { ProblemCode } from '@astis/protocol';
import { isProblemCode, PROBLEMS, Problem, ProblemError, ProtocolError } from '@astis/protocol';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** Response schemas of every route's refusals. */
export const refusals = { '4xx': Problem, '5xx': Problem } as const;

const FASTIFY_CODES: Readonly<Record<string, readonly [ProblemCode, string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['too_large', 'Send a smaller body; the limit is 4 MiB.'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    'unsupported_media_type',
    'Send JSON, with content-type application/json.',
  ],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['invalid_request', 'The body is empty; send JSON.'],
  FST_ERR_CTP_INVALID_JSON_BODY: ['invalid_request', 'The body is not JSON.'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['invalid_request', 'The content length does not fit the body.'],
};

function isFastifyError(error: unknown): error is FastifyError {
  return error instanceof Error && 'code' in error && typeof error.code === 'string';
}

/** The problem that an error is to the client. */
export function problemOf(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error;
  if (error instanceof ProtocolError) return new ProblemError('malformed_object', error.message);
  if (error instanceof CryptoError) {
    const code: ProblemCode = isProblemCode(error.code) ? error.code : 'statement_invalid';
    return new ProblemError(code, error.message);
  }
  if (isFastifyError(error)) {
    if (error.validation !== undefined) {
      return new ProblemError(
        'invalid_request',
        'The request does not have the shape that the API describes.',
        {
          errors: error.validation.slice(0, 20).map(({ instancePath, message = 'is not valid' }) => ({
            path: `${error.validationContext ?? 'body'}${instancePath}`,
            message,
          })),
        },
      );
    }
    const known = FASTIFY_CODES[error.code];
    if (known !== undefined) return new ProblemError(...known);
    if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
      return new ProblemError('invalid_request', 'The request is not valid HTTP for this API.');
    }
  }
  return new ProblemError('internal', 'Something failed here. Quote the instance when you ask for help.');
}

export function sendProblem(request: FastifyRequest, reply: FastifyReply, error: unknown): FastifyReply {
  const problem = problemOf(error);
  if (problem.code === 'internal')
    request.log.error({ err: error instanceof Error ? error : new Error('unknown') });
  if (problem.code === 'rate_limited') void reply.header('retry-after', '1');
  return reply
    .code(PROBLEMS[problem.code][0])
    .type('application/problem+json')
    .send(problem.toProblem(request.id));
}

export function installProblems(app: FastifyInstance): void {
  app.setErrorHandler((error, request, reply) => sendProblem(request, reply, error));
  app.setNotFoundHandler((request, reply) =>
    sendProblem(request, reply, new ProblemError('not_found', 'There is no such path; see /openapi.json.')),
  );
}
