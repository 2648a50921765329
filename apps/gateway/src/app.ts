/** The gateway's HTTP application: its plugins in order, then the routes of each capability. */
import { createHash } from 'node:crypto';
import swagger from '@fastify/swagger';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox';
import reference from '@scalar/fastify-api-reference';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import fastify from 'fastify';
import { approvalRoutes } from './approvals/routes.ts';
import { auditRoutes } from './audit/routes.ts';
import { capsuleRoutes } from './capsules/routes.ts';
import type { Gateway } from './gateway.ts';
import { installAuthentication } from './http/authentication.ts';
import { installBodies, MAX_BODY_BYTES } from './http/bodies.ts';
import { installIdempotency } from './http/idempotency.ts';
import { installLimits } from './http/limits.ts';
import { installProblems } from './http/problems.ts';
import { enrolmentRoutes } from './people/enrolment.ts';
import { peopleRoutes } from './people/routes.ts';
import { policyRoutes } from './policies/routes.ts';
import { releaseRoutes } from './releases/routes.ts';
import { rotationRoutes } from './rotations/routes.ts';
import { tenantRoutes } from './tenants/routes.ts';
import { tokenRoutes } from './tokens/routes.ts';

export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

export interface AppOptions {
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly logger?: FastifyBaseLogger;
}

// Nothing that we serve runs scripts but the reference, whose own policy is set where it is served.
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/** The reference page's inline scripts are allowed by their hashes, so that no other inline script ever runs. */
function referencePolicy(html: string): string {
  const hashes = [...html.matchAll(/<script[^>]*>([\s\S]*?)<\/script>/g)]
    .map(([, script = '']) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`)
    .join(' ');
  return `default-src 'none'; script-src 'self' ${hashes}; style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data: blob:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'`;
}

function installHeaders(app: App): void {
  app.addHook('onSend', async (request, reply, payload) => {
    const isReference =
      request.url.startsWith('/reference') && typeof payload === 'string' && payload.includes('<script');
    void reply.headers({
      'strict-transport-security': 'max-age=63072000; includeSubDomains',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin',
      'content-security-policy': isReference ? referencePolicy(payload) : CONTENT_SECURITY_POLICY,
      ...(request.url.startsWith('/reference') ? {} : { 'cache-control': 'no-store' }),
    });
    return payload;
  });
}

export async function buildApp(gateway: Gateway, options: AppOptions = {}): Promise<App> {
  const common = {
    bodyLimit: MAX_BODY_BYTES,
    disableRequestLogging: true,
    genReqId: () => crypto.randomUUID(),
    requestTimeout: 60_000,
    connectionTimeout: 120_000,
    routerOptions: { maxParamLength: 300 },
    ...(options.logger === undefined ? {} : { loggerInstance: options.logger }),
  };
  const tls = options.tls;
  const base: FastifyInstance =
    tls === undefined ? fastify(common) : fastify({ ...common, https: { ...tls, minVersion: 'TLSv1.3' } });
  const app = base.setValidatorCompiler(TypeBoxValidatorCompiler).withTypeProvider<TypeBoxTypeProvider>();

  installProblems(app);
  installBodies(app);
  installHeaders(app);
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'ASTIS gateway',
        version: '1',
        description:
          'Capsules, releases, policy and audit. Every request but those marked otherwise carries a DPoP-bound access token and a DPoP proof (RFC 9449) with the claim `bd`: the base64url SHA-256 of the body.',
      },
      servers: [{ url: gateway.url }],
      components: {
        securitySchemes: {
          dpop: {
            type: 'http',
            scheme: 'DPoP',
            description: 'Access token of /oauth/token and a proof in the DPoP header',
          },
        },
      },
      security: [{ dpop: [] }],
    },
  });
  installAuthentication(app, gateway);
  installLimits(app, gateway.tenantRate);
  installIdempotency(app, gateway);

  tokenRoutes(app, gateway);
  tenantRoutes(app, gateway);
  peopleRoutes(app, gateway);
  enrolmentRoutes(app, gateway);
  capsuleRoutes(app, gateway);
  releaseRoutes(app, gateway);
  approvalRoutes(app, gateway);
  policyRoutes(app, gateway);
  auditRoutes(app, gateway);
  rotationRoutes(app, gateway);

  app.get('/openapi.json', { config: { authentication: 'none' }, schema: { hide: true } }, async () =>
    app.swagger(),
  );
  await app.register(reference, {
    routePrefix: '/reference',
    configuration: { url: '/openapi.json', withDefaultFonts: false },
    hooks: {
      onRequest: (request, _reply, done) => {
        request.routeOptions.config.authentication = 'none';
        done();
      },
    },
  });
  return app;
}
