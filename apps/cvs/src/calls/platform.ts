import { parseTenantId } from '@astis/protocol';

/** The nil UUID: its log takes the calls that belong to no tenant. No order can make a tenant of it. */
export const PLATFORM = parseTenantId('00000000-0000-0000-0000-000000000000');
