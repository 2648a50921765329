import { expect, it } from 'vitest';
import { effectiveTtl } from './ttl.ts';

const document = { defaultTtlSeconds: 600, maxTtlSeconds: 3600 };

it('gives the default where nothing was asked for', () => {
  expect(effectiveTtl(document, undefined)).toEqual({ ok: true, ttlSeconds: 600 });
});

it('gives what was asked for, up to the maximum', () => {
  expect(effectiveTtl(document, 1)).toEqual({ ok: true, ttlSeconds: 1 });
  expect(effectiveTtl(document, 3600)).toEqual({ ok: true, ttlSeconds: 3600 });
});

it('refuses more than the maximum instead of shortening it', () => {
  expect(effectiveTtl(document, 3601)).toEqual({
    ok: false,
    code: 'ttl_exceeds_maximum',
    maxTtlSeconds: 3600,
  });
  expect(effectiveTtl(document, Number.MAX_SAFE_INTEGER)).toMatchObject({ code: 'ttl_exceeds_maximum' });
});

it('refuses what is no length of time', () => {
  for (const asked of [0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
    expect(effectiveTtl(document, asked)).toEqual({ ok: false, code: 'ttl_invalid', maxTtlSeconds: 3600 });
  }
});
