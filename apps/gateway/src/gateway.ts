/** What the gateway's parts share. */
import type { SigningPublicKey } from '@astis/protocol';
import type { GatewayStore } from '@astis/store';
import type { Custody } from './custody/client.ts';
import type { GatewayKeys } from './keys.ts';

export interface Gateway {
  readonly store: GatewayStore;
  readonly custody: Custody;
  readonly keys: GatewayKeys;
  /** Public base URL. */
  readonly url: string;
  readonly logOrigin: string;
  readonly operatorKey: SigningPublicKey;
  readonly tenantRate: number;
  readonly dnsServer: string | undefined;
}
