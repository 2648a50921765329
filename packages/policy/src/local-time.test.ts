import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { LocalTime } from './local-time.ts';
import { localClock } from './local-time.ts';

const told = (timeZone: string, iso: string): LocalTime | undefined =>
  localClock(timeZone)?.(Date.parse(iso) / 1000);

it('tells the time of a zone through both changes of its clocks', () => {
  const cases: [string, string, LocalTime][] = [
    ['Europe/Berlin', '2026-03-29T00:59:59Z', { date: '2026-03-29', hour: 1, minute: 59, weekday: 7 }],
    ['Europe/Berlin', '2026-03-29T01:00:00Z', { date: '2026-03-29', hour: 3, minute: 0, weekday: 7 }],
    ['Europe/Berlin', '2026-10-25T00:30:00Z', { date: '2026-10-25', hour: 2, minute: 30, weekday: 7 }],
    ['Europe/Berlin', '2026-10-25T01:30:00Z', { date: '2026-10-25', hour: 2, minute: 30, weekday: 7 }],
    ['America/New_York', '2026-03-08T07:00:00Z', { date: '2026-03-08', hour: 3, minute: 0, weekday: 7 }],
    ['Australia/Lord_Howe', '2026-04-04T15:00:00Z', { date: '2026-04-05', hour: 1, minute: 30, weekday: 7 }],
    ['Asia/Kathmandu', '2026-01-01T00:00:00Z', { date: '2026-01-01', hour: 5, minute: 45, weekday: 4 }],
    ['Pacific/Kiritimati', '2026-12-31T12:00:00Z', { date: '2027-01-01', hour: 2, minute: 0, weekday: 5 }],
    ['UTC', '2026-03-02T00:00:00Z', { date: '2026-03-02', hour: 0, minute: 0, weekday: 1 }],
    ['UTC', '1969-12-31T23:59:59Z', { date: '1969-12-31', hour: 23, minute: 59, weekday: 3 }],
  ];
  for (const [zone, iso, expected] of cases)
    expect([zone, iso, told(zone, iso)]).toEqual([zone, iso, expected]);
});

it('tells UTC as the calendar does, in any order of asking', () => {
  const clock = localClock('UTC');
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 4_102_444_800 }), { minLength: 1 }), (instants) => {
      for (const at of instants) {
        const date = new Date(at * 1000);
        expect(clock?.(at)).toEqual({
          date: date.toISOString().slice(0, 10),
          hour: date.getUTCHours(),
          minute: date.getUTCMinutes(),
          weekday: date.getUTCDay() === 0 ? 7 : date.getUTCDay(),
        });
      }
    }),
  );
});

it('knows no zone outside of the database', () => {
  for (const zone of ['', 'Nowhere/Land', '+01:00', '-0500', '01:00'])
    expect(localClock(zone)).toBeUndefined();
});
