/** The ASTIS client, for browsers and Node. What only Node can do is in `@astis/sdk/node`. */
export * from './client.ts';
export * from './directory.ts';
export * from './enrolment.ts';
export * from './errors.ts';
export * from './fetch-transport.ts';
export * from './identity.ts';
export * from './open.ts';
export * from './organisation.ts';
export * from './seal.ts';
