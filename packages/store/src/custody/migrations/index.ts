import type { Migration } from 'kysely';
import { spine } from './0001-spine.ts';

export const custodyMigrations: Record<string, Migration> = { '0001-spine': spine };
