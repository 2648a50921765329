import type { Static } from 'typebox';
import { Type } from 'typebox';

export const MAX_CEDAR_BYTES = 65_536;
export const MAX_POLICIES = 256;
/** Ten years. */
export const MAX_TTL_SECONDS = 315_360_000;

/** What an organisation's administrator sets, as JSON. Read by `compilePolicy`, which checks more than this shape. */
export const PolicyDocument = Type.Object(
  {
    version: Type.Literal(1),
    defaultTtlSeconds: Type.Integer({
      minimum: 1,
      maximum: MAX_TTL_SECONDS,
      description: 'Life of a capsule whose sealer asked for none.',
    }),
    maxTtlSeconds: Type.Integer({
      minimum: 1,
      maximum: MAX_TTL_SECONDS,
      description: 'Longest life that may be asked for when sealing or extending.',
    }),
    timeZone: Type.String({
      minLength: 1,
      maxLength: 64,
      description: 'IANA time zone in which hour, minute, weekday and date are told, such as Europe/Berlin.',
    }),
    recovery: Type.Boolean({
      description: 'Whether artifacts may also be opened by the organisation key. Off unless turned on.',
    }),
    approvalValidSeconds: Type.Integer({
      minimum: 60,
      maximum: 604_800,
      description: "How long a second person's approval holds.",
    }),
    cedar: Type.String({
      maxLength: MAX_CEDAR_BYTES,
      description: 'Policies in the Cedar language, over the schema in docs/policy.md.',
    }),
  },
  { additionalProperties: false, $id: 'PolicyDocument' },
);
export type PolicyDocument = Readonly<Static<typeof PolicyDocument>>;
