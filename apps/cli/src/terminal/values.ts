/** Values on the command line. */
import type { Address, ArtifactId } from '@astis/protocol';
import { ProtocolError, parseAddress, parseArtifactId } from '@astis/protocol';
import { UsageError } from './exit.ts';

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** Seconds of `90s`, `15m`, `2h`, `7d` or `2w`. */
export function parseDuration(text: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,9})([smhdw])$/.exec(text) ?? [];
  const seconds = Number(digits) * (UNITS[unit] ?? 0);
  if (!(seconds > 0)) throw new UsageError(`"${text}" is not a duration; write 90s, 15m, 2h, 7d or 2w.`);
  return seconds;
}

// With its zone: without one, a time would mean another moment on another computer.
const RFC_3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/;

/** A moment: a duration from now, or RFC 3339. */
export function parseMoment(text: string): Date {
  if (/^\d+[smhdw]$/.test(text)) return new Date(Date.now() + parseDuration(text) * 1000);
  const moment = new Date(text);
  if (!RFC_3339.test(text) || Number.isNaN(moment.getTime())) {
    throw new UsageError(
      `"${text}" is neither a duration such as 2h nor a time such as 2027-01-31T12:00:00Z.`,
    );
  }
  return moment;
}

export function address(text: string): Address {
  try {
    return parseAddress(text);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new UsageError(`"${text}" is not an address such as bob@example.org.`);
  }
}

/** Comma-separated or repeated. */
export const addresses = (texts: readonly string[]): readonly Address[] => [
  ...new Set(
    texts
      .flatMap((text) => text.split(','))
      .filter((text) => text !== '')
      .map(address),
  ),
];

/** An artifact id, or the sealed file that has it. */
export async function artifactId(text: string): Promise<ArtifactId> {
  const { existsSync } = await import('node:fs');
  if (existsSync(text)) {
    const { openEnvelopeFile } = await import('@astis/crypto/files');
    const file = await openEnvelopeFile(text);
    await file.close();
    return file.header.header.artifactId;
  }
  try {
    return parseArtifactId(text);
  } catch {
    throw new UsageError(`"${text}" is neither a sealed file nor the id of an artifact.`);
  }
}
