export type { Custody, CustodyOptions } from './app.ts';
export { buildCustody } from './app.ts';
export { PLATFORM } from './calls/platform.ts';
export { loadServiceKey } from './service-key.ts';
export { createRootKey, RootKeyError } from './worker/root-key.ts';
