import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UsageError } from './exit.ts';
import { addresses, artifactId, parseDuration, parseMoment } from './values.ts';

describe('durations', () => {
  test.each([
    ['90s', 90],
    ['15m', 900],
    ['2h', 7200],
    ['7d', 604_800],
    ['2w', 1_209_600],
  ])('%s', (text, seconds) => expect(parseDuration(text)).toBe(seconds));

  test('anything else is refused', () => {
    for (const text of ['', '0s', '2', 'h', '2 h', '-1h', '1.5h', '2hours', '9999999999s'])
      expect(() => parseDuration(text)).toThrow(UsageError);
    const refused = (text: string): boolean => {
      try {
        return parseDuration(text) > 0;
      } catch (error) {
        return error instanceof UsageError;
      }
    };
    fc.assert(fc.property(fc.string(), refused));
  });
});

describe('moments', () => {
  test('RFC 3339, and durations from now', () => {
    expect(parseMoment('2027-01-31T12:00:00Z').toISOString()).toBe('2027-01-31T12:00:00.000Z');
    expect(parseMoment('2027-01-31T12:00:00+02:00').toISOString()).toBe('2027-01-31T10:00:00.000Z');
    const before = Date.now();
    const moment = parseMoment('2h').getTime();
    expect(moment - before).toBeGreaterThanOrEqual(7_200_000);
    expect(moment - Date.now()).toBeLessThanOrEqual(7_200_000);
  });

  test('a time without a zone, a date alone and what is no date are refused', () => {
    for (const text of [
      '2027-01-31T12:00:00',
      '2027-01-31',
      '31.1.2027',
      'tomorrow',
      '2027-13-01T00:00:00Z',
      '',
    ])
      expect(() => parseMoment(text), text).toThrow(UsageError);
  });
});

test('addresses: repeated or separated by commas, each once, normalised', () => {
  expect(addresses(['Bob@Example.org,carol@example.org', 'bob@example.org', ''])).toEqual([
    'bob@example.org',
    'carol@example.org',
  ]);
  expect(() => addresses(['bob'])).toThrow(UsageError);
});

test('an artifact is named by its id or refused', async () => {
  expect(await artifactId('AAAAAAAAAAAAAAAAAAAAAA')).toBe('AAAAAAAAAAAAAAAAAAAAAA');
  await expect(artifactId('nothing of the kind')).rejects.toThrow(UsageError);
});
