import type { Migration } from 'kysely';
import { spine } from './0001-spine.ts';

/** In order of their names. A migration that was released is never changed. */
export const gatewayMigrations: Record<string, Migration> = { '0001-spine': spine };
