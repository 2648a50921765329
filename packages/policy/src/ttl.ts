import type { PolicyDocument } from './document.ts';

export type TtlAnswer =
  | { readonly ok: true; readonly ttlSeconds: number }
  | {
      readonly ok: false;
      readonly code: 'ttl_exceeds_maximum' | 'ttl_invalid';
      readonly maxTtlSeconds: number;
    };

/**
 * The life of a capsule in whole seconds: what was asked for, or the organisation's default. Never shortened
 * silently: more than the maximum is refused, as is what is not a positive integer.
 */
export function effectiveTtl(
  { defaultTtlSeconds, maxTtlSeconds }: Pick<PolicyDocument, 'defaultTtlSeconds' | 'maxTtlSeconds'>,
  requestedSeconds: number | undefined,
): TtlAnswer {
  const ttlSeconds = requestedSeconds ?? defaultTtlSeconds;
  if (!Number.isSafeInteger(ttlSeconds) || ttlSeconds < 1)
    return { ok: false, code: 'ttl_invalid', maxTtlSeconds };
  if (ttlSeconds > maxTtlSeconds) return { ok: false, code: 'ttl_exceeds_maximum', maxTtlSeconds };
  return { ok: true, ttlSeconds };
}
