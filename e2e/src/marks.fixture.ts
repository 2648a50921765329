/**
 * Looks for marked secrets in what a system leaves behind, in every form in which software writes bytes down: as they
 * are, hexadecimal, base64 and base64url at any offset, a list of decimal numbers, any of these as UTF-16, and all of
 * it inside of gzip, zlib and Zstandard streams.
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { inflateRawSync, inflateSync, constants as zlib, zstdDecompressSync } from 'node:zlib';

export interface Mark {
  readonly name: string;
  /** At least 24 bytes, and random, so that nothing but the secret itself looks like it. */
  readonly bytes: Uint8Array;
}

export interface Finding {
  readonly mark: string;
  readonly encoding: string;
  /** File or message. */
  readonly where: string;
}

interface Pattern {
  readonly mark: string;
  readonly encoding: string;
  readonly bytes: Buffer;
}

/** Windows this long are met by chance once in 2^64 places. */
const WINDOW = 8;

/**
 * PostgreSQL's own compression puts a control byte after every eight literals, so that a secret in it is never whole:
 * each of its windows of eight bytes counts as the secret.
 */
function* windows(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at + WINDOW <= bytes.length; at++) yield bytes.subarray(at, at + WINDOW);
}

/** The characters of base64 that depend on the secret alone, when `skipped` bytes stand before it. */
function alignedBase64(bytes: Buffer, skipped: number, encoding: 'base64' | 'base64url'): string {
  const text = Buffer.concat([Buffer.alloc(skipped), bytes])
    .toString(encoding)
    .replace(/=+$/, '');
  const start = Math.ceil((skipped * 8) / 6);
  const end = Math.floor(((skipped + bytes.length) * 8) / 6);
  return text.slice(start, end);
}

function patternsOf({ name, bytes: secret }: Mark): readonly Pattern[] {
  const bytes = Buffer.from(secret);
  const texts: [string, string][] = [
    ['hex', bytes.toString('hex')],
    ['HEX', bytes.toString('hex').toUpperCase()],
    ['decimal list', bytes.join(',')],
    ['decimal list with spaces', bytes.join(', ')],
    ['Latin-1 text', bytes.toString('latin1')],
  ];
  for (const skipped of [0, 1, 2]) {
    texts.push(['base64', alignedBase64(bytes, skipped, 'base64')]);
    texts.push(['base64url', alignedBase64(bytes, skipped, 'base64url')]);
  }
  const pattern = (encoding: string, value: Buffer): Pattern => ({ mark: name, encoding, bytes: value });
  return [
    ...Array.from(windows(bytes), (window) => pattern('raw', window)),
    ...texts.flatMap(([encoding, text]) =>
      // A string of Latin-1 that is written as UTF-8 is another one than the bytes.
      [
        pattern(encoding, Buffer.from(text, 'utf8')),
        pattern(`${encoding}, UTF-16`, Buffer.from(text, 'utf16le')),
      ],
    ),
  ];
}

const STREAMS: readonly (readonly [
  name: string,
  magic: readonly number[],
  inflate: (bytes: Buffer) => Buffer,
])[] = [
  ['gzip', [0x1f, 0x8b, 0x08], (bytes) => inflateRawSync(bytes.subarray(gzipHeaderLength(bytes)), LENIENT)],
  ...[0x01, 0x5e, 0x9c, 0xda].map(
    (second) => ['zlib', [0x78, second], (bytes: Buffer) => inflateSync(bytes, LENIENT)] as const,
  ),
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd], (bytes) => zstdDecompressSync(bytes)],
];
// What is cut off gives what came before the cut.
const LENIENT = { finishFlush: zlib.Z_SYNC_FLUSH, maxOutputLength: 1 << 24 };

/** RFC 1952 §2.3. What follows a member is not looked at, which gunzip itself takes for an error. */
function gzipHeaderLength(bytes: Buffer): number {
  const flags = bytes[3] ?? 0;
  let at = 10;
  if (flags & 0b100) at += 2 + bytes.readUInt16LE(at);
  for (const flag of [0b1000, 0b10000]) if (flags & flag) at = bytes.indexOf(0, at) + 1;
  return flags & 0b10 ? at + 2 : at;
}

/** A stream's compressed bytes that are looked at. */
const STREAM_BYTES = 1 << 20;
const MAX_DEPTH = 2;

/** The first three bytes as a number: few enough of all numbers are the start of a pattern that most bytes cost one look. */
const startOf = (bytes: Buffer): number => bytes.readUIntBE(0, 3);

export class Scanner {
  readonly #patterns = new Map<number, Pattern[]>();
  readonly #streams = new Map<number, (typeof STREAMS)[number][]>();
  readonly #interesting = new Uint8Array(1 << 24);
  readonly #longest: number;

  constructor(marks: readonly Mark[]) {
    let longest = 0;
    for (const mark of marks) {
      for (const pattern of patternsOf(mark)) {
        longest = Math.max(longest, pattern.bytes.length);
        const start = startOf(pattern.bytes);
        this.#patterns.set(start, [...(this.#patterns.get(start) ?? []), pattern]);
        this.#interesting[start] = 1;
      }
    }
    for (const stream of STREAMS) {
      const [a = 0, b = 0, c] = stream[1];
      for (const third of c === undefined ? Array.from({ length: 256 }, (_, i) => i) : [c]) {
        const start = a * 65_536 + b * 256 + third;
        this.#streams.set(start, [...(this.#streams.get(start) ?? []), stream]);
        this.#interesting[start] = 1;
      }
    }
    this.#longest = longest;
  }

  /** One finding for each mark and encoding at most. */
  search(where: string, bytes: Uint8Array, depth = 0): readonly Finding[] {
    const found = new Map<string, Finding>();
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const interesting = this.#interesting;
    const { length } = buffer;
    let start = ((buffer[0] ?? 0) << 8) | (buffer[1] ?? 0);
    for (let at = 0; at + 2 < length; at++) {
      start = ((start & 0xffff) << 8) | (buffer[at + 2] ?? 0);
      if (interesting[start] === 0) continue;
      for (const { mark, encoding, bytes: pattern } of this.#patterns.get(start) ?? []) {
        if (buffer.compare(pattern, 0, pattern.length, at, Math.min(at + pattern.length, length)) === 0)
          found.set(`${mark} ${encoding}`, { mark, encoding, where });
      }
      if (depth >= MAX_DEPTH) continue;
      for (const [name, magic, inflate] of this.#streams.get(start) ?? []) {
        if (magic.some((byte, i) => buffer[at + i] !== byte)) continue;
        let inflated: Buffer;
        try {
          inflated = inflate(buffer.subarray(at, at + STREAM_BYTES));
        } catch {
          continue;
        }
        for (const inner of this.search(where, inflated, depth + 1)) {
          const encoding = `${inner.encoding}, ${name}`;
          found.set(`${inner.mark} ${encoding}`, { ...inner, encoding });
        }
      }
    }
    return [...found.values()];
  }

  /** A file of any size, in pieces that overlap by the longest form of a mark. */
  searchFile(path: string): readonly Finding[] {
    return this.#searchRanges(path, () => [{ at: 0, length: statSync(path).size }]);
  }

  /**
   * All memory that a running process can read, stopped while it is looked at: what a core dump has, without the
   * gigabytes of addresses that a runtime only reserves. Linux; the caller must be allowed to trace the process.
   */
  searchMemory(pid: number): readonly Finding[] {
    process.kill(pid, 'SIGSTOP');
    try {
      return this.#searchRanges(`/proc/${pid}/mem`, () => readableMemory(pid));
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  }

  #searchRanges(path: string, ranges: () => readonly Range[]): readonly Finding[] {
    const file = openSync(path, 'r');
    try {
      const findings: Finding[] = [];
      for (const range of ranges()) {
        const end = range.at + range.length;
        for (let at = range.at; at < end; at += PIECE) {
          const piece = readAt(file, at, Math.min(PIECE + this.#longest, end - at));
          // Memory that was never written to.
          if (piece.equals(ZEROES.subarray(0, piece.length))) continue;
          findings.push(...this.search(path, piece));
        }
      }
      return findings;
    } finally {
      closeSync(file);
    }
  }

  /** Every file of a folder and of those below it. */
  searchFolder(folder: string): readonly Finding[] {
    return filesIn(folder).flatMap((path) => [...this.searchFile(path)]);
  }
}

interface Range {
  readonly at: number;
  readonly length: number;
}

const PIECE = 1 << 22;
/** As long as a piece with any overlap. */
const ZEROES = Buffer.alloc(PIECE + (1 << 16));

function readAt(file: number, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, readSync(file, bytes, 0, length, at));
}

/** The readable mappings of a process (proc_pid_maps(5)), but for the kernel's own. */
function readableMemory(pid: number): readonly Range[] {
  return readFileSync(`/proc/${pid}/maps`, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, from, to, name = ''] = /^([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \S+ *(.*)$/.exec(line) ?? [];
      if (from === undefined || to === undefined || /^\[(vvar|vsyscall|vdso)/.test(name)) return [];
      const at = Number.parseInt(from, 16);
      return [{ at, length: Number.parseInt(to, 16) - at }];
    });
}

/** Files that go away while they are listed, as a running server's do, are passed over. */
export function filesIn(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap((entry) => {
    const path = join(entry.parentPath, entry.name);
    return entry.isFile() ? [path] : [];
  });
}
