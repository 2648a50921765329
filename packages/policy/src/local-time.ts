/** Wall-clock time of a time zone. */
export interface LocalTime {
  /** `2026-10-25` */
  readonly date: string;
  /** 0 to 23 */
  readonly hour: number;
  /** 0 to 59 */
  readonly minute: number;
  /** ISO 8601: 1 (Monday) to 7 (Sunday) */
  readonly weekday: number;
}

const WEEKDAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];

/**
 * A clock for an IANA time zone, from the runtime's own copy of the database: seconds since 1970 to wall-clock time.
 * Undefined if the runtime does not know the zone. The last minute is remembered, since formatting costs more than a
 * whole decision.
 */
export function localClock(timeZone: string): ((epochSeconds: number) => LocalTime) | undefined {
  // A fixed offset such as "+02:00" is no zone of the database: it would be wrong half the year.
  if (!/^[A-Za-z]/.test(timeZone)) return undefined;
  const format = formatter(timeZone);
  if (format === undefined) return undefined;
  let minute = Number.NaN;
  let time: LocalTime;
  return (epochSeconds) => {
    const asked = Math.floor(epochSeconds / 60);
    if (asked !== minute) {
      time = read(format, asked * 60_000);
      minute = asked;
    }
    return time;
  };
}

function formatter(timeZone: string): Intl.DateTimeFormat | undefined {
  try {
    return new Intl.DateTimeFormat('en-US', {
      timeZone,
      calendar: 'gregory',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      weekday: 'short',
    });
  } catch {
    return undefined;
  }
}

function read(format: Intl.DateTimeFormat, epochMilliseconds: number): LocalTime {
  const part = new Map<string, string>();
  for (const { type, value } of format.formatToParts(epochMilliseconds)) part.set(type, value);
  const text = (name: string): string => part.get(name) ?? '';
  return {
    date: `${text('year').padStart(4, '0')}-${text('month')}-${text('day')}`,
    hour: Number(text('hour')),
    minute: Number(text('minute')),
    weekday: WEEKDAYS.indexOf(text('weekday')) + 1,
  };
}
