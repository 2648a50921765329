/**
 * `@astis/protocol/formats`: the wire formats without the HTTP schemas, which need a schema library that
 * clients and file tools have no use for.
 */
export * from './bytes.ts';
export * from './cbor.ts';
export * from './envelope.ts';
export * from './errors.ts';
export * from './identity.ts';
export * from './ids.ts';
export * from './keys.ts';
export * from './link.ts';
export * from './sign1.ts';
export * from './statement.ts';
export * from './suites.ts';
export * from './wrap.ts';
