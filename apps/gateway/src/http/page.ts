/** The query of a listing, as the store takes it. */
import type { PageQuery } from '@astis/protocol';
import type { Static } from 'typebox';

export const pageOf = ({
  cursor,
  limit = 100,
}: Static<typeof PageQuery>): { cursor?: string; limit: number } => ({
  limit,
  ...(cursor === undefined ? {} : { cursor }),
});
