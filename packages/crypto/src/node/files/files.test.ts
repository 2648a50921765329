import { spawn } from 'node:child_process';
import { appendFileSync, truncateSync } from 'node:fs';
import { lstat, mkdtemp, open, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import { CHUNK_BYTES, concat, layoutFor } from '@astis/protocol/formats';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { OpeningKey } from '../../envelope.ts';
import { outcome } from '../../outcome.fixture.ts';
import { encryptChunk, payloadKey } from '../../payload.ts';
import { artifact, flipped, world } from '../../world.fixture.ts';
import type { Progress } from './index.ts';
import { openEnvelopeFile, openFile, sealFile } from './index.ts';

const pattern = (length: number): Uint8Array => {
  const out = new Uint8Array(length);
  for (let i = 0; i < length; i += 1024)
    out.set([i & 255, (i >>> 8) & 255, (i >>> 16) & 255].slice(0, length - i), i);
  return out;
};

const w = await world();
const sealed = (plaintext: Uint8Array) => artifact(w, [w.bob], plaintext);
type Sealed = Awaited<ReturnType<typeof sealed>>;
const keyOf = ({ dek, statement }: Sealed): OpeningKey => ({ dek, statement, sealer: w.alice.certificate });
const sealing = ({ dek, header }: Sealed) => ({ dek, header, signer: w.alice.signer });
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

let folder: string;
const path = (name: string): string => join(folder, name);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'astis-files-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Pieces of odd sizes, as pipes give them. */
function trickle(bytes: Uint8Array, sizes: readonly number[]): Readable {
  let at = 0;
  let turn = 0;
  return new Readable({
    read() {
      const size = sizes[turn++ % sizes.length] ?? 1;
      this.push(at < bytes.length ? Buffer.from(bytes.subarray(at, at + size)) : null);
      at += size;
    },
  });
}

class Collector extends Writable {
  readonly parts: Uint8Array[] = [];
  override _write(part: Uint8Array, _: BufferEncoding, done: () => void): void {
    this.parts.push(Uint8Array.from(part));
    setImmediate(done);
  }
  get bytes(): Uint8Array {
    return concat(...this.parts);
  }
}

// Up to four chunks run in this thread, more on others: both sides of that edge, and of a chunk's.
const LENGTHS = [
  0,
  1,
  CHUNK_BYTES - 1,
  CHUNK_BYTES,
  CHUNK_BYTES + 1,
  4 * CHUNK_BYTES,
  4 * CHUNK_BYTES + 1,
  19 * CHUNK_BYTES + 5,
];

describe.each(LENGTHS)('%i bytes', (length) => {
  it('are sealed to the very bytes that the format says, from files and streams to files and streams', async () => {
    const plaintext = pattern(length);
    const made = await sealed(plaintext);
    await writeFile(path('in'), plaintext);
    const layout = await sealFile({ ...sealing(made), source: path('in'), sink: path('out') });
    expect(layout).toEqual(layoutFor(made.header.bytes.length, length));
    expect(same(await readFile(path('out')), made.envelope)).toBe(true);

    const sizes = [65_536, 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 7];
    await sealFile({ ...sealing(made), source: trickle(plaintext, sizes), sink: path('from-stream') });
    expect(same(await readFile(path('from-stream')), made.envelope)).toBe(true);

    const toStream = new Collector();
    await sealFile({ ...sealing(made), source: path('in'), sink: toStream });
    expect(same(toStream.bytes, made.envelope)).toBe(true);
    expect(toStream.writableEnded).toBe(false);

    const both = new Collector();
    await sealFile({ ...sealing(made), source: trickle(plaintext, [4096]), sink: both });
    expect(same(both.bytes, made.envelope)).toBe(true);
    expect((await readdir(folder)).sort()).toEqual(['from-stream', 'in', 'out']);
  });

  it('open to what was sealed, from files and streams to files and streams', async () => {
    const plaintext = pattern(length);
    const made = await sealed(plaintext);
    await writeFile(path('in'), made.envelope);
    await openFile({ ...keyOf(made), source: path('in'), sink: path('out') });
    expect(same(await readFile(path('out')), plaintext)).toBe(true);
    expect((await stat(path('out'))).mode & 0o777).toBe(0o600);

    const collected = new Collector();
    await openFile({ ...keyOf(made), source: trickle(made.envelope, [70_000, 1]), sink: collected });
    expect(same(collected.bytes, plaintext)).toBe(true);
    expect((await readdir(folder)).sort()).toEqual(['in', 'out']);
  });
});

describe('opening', () => {
  it('shows the header before any key is there', async () => {
    const made = await sealed(pattern(10));
    await writeFile(path('in'), made.envelope);
    const file = await openEnvelopeFile(path('in'));
    expect(file.header).toEqual(made.header);
    expect(file.layout.plaintextBytes).toBe(10);
    await file.extract({ ...keyOf(made), sink: path('out') });
    await file.close();
    expect(same(await readFile(path('out')), pattern(10))).toBe(true);
  });

  it('publishes nothing of a changed envelope, and leaves what was there before', async () => {
    const length = 9 * CHUNK_BYTES;
    const made = await sealed(pattern(length));
    const { headerBytes, hashesAt } = layoutFor(made.header.bytes.length, length);
    await writeFile(path('out'), 'before');
    for (const [at, code] of [
      [headerBytes + 8 * CHUNK_BYTES, 'chunk_modified'],
      [hashesAt - 1, 'chunk_modified'],
      [hashesAt, 'signature_invalid'],
      [made.envelope.length - 1, 'signature_invalid'],
    ] as const) {
      await writeFile(path('in'), flipped(made.envelope, at));
      expect(await outcome(() => openFile({ ...keyOf(made), source: path('in'), sink: path('out') }))).toBe(
        code,
      );
      expect(await readFile(path('out'), 'utf8')).toBe('before');
      expect((await readdir(folder)).sort()).toEqual(['in', 'out']);
    }
  });

  it('refuses a chunk that a recipient encrypted anew under the DEK', async () => {
    const made = await sealed(pattern(2 * CHUNK_BYTES));
    const key = await payloadKey(made.dek, made.header.hash);
    const { ciphertext } = await encryptChunk(key, 1, true, new Uint8Array(CHUNK_BYTES));
    const envelope = Uint8Array.from(made.envelope);
    envelope.set(ciphertext, made.header.bytes.length + CHUNK_BYTES + 16);
    await writeFile(path('in'), envelope);
    const run = () => openFile({ ...keyOf(made), source: path('in'), sink: path('out') });
    expect(await outcome(run)).toBe('chunk_modified');
    expect(await readdir(folder)).toEqual(['in']);
  });

  it('writes to a stream nothing before the author is known, and no chunk that was not checked', async () => {
    const length = 9 * CHUNK_BYTES;
    const made = await sealed(pattern(length));
    const { headerBytes, hashesAt } = layoutFor(made.header.bytes.length, length);
    await writeFile(path('in'), flipped(made.envelope, hashesAt));
    const unsigned = new Collector();
    expect(await outcome(() => openFile({ ...keyOf(made), source: path('in'), sink: unsigned }))).toBe(
      'signature_invalid',
    );
    expect(unsigned.parts).toEqual([]);

    await writeFile(path('in'), flipped(made.envelope, headerBytes + 3 * (CHUNK_BYTES + 16) + 5));
    const cut = new Collector();
    expect(await outcome(() => openFile({ ...keyOf(made), source: path('in'), sink: cut }))).toBe(
      'chunk_modified',
    );
    expect(same(cut.bytes, pattern(length).subarray(0, cut.bytes.length))).toBe(true);
    expect(cut.bytes.length).toBeLessThanOrEqual(3 * CHUNK_BYTES);
  });

  it('refuses what is cut off, and what is no envelope', async () => {
    const made = await sealed(pattern(100));
    const attempt = async (bytes: Uint8Array) => {
      await writeFile(path('in'), bytes);
      return outcome(() => openFile({ ...keyOf(made), source: path('in'), sink: path('out') }));
    };
    expect(await attempt(made.envelope.subarray(0, -1))).toBe('signature_invalid');
    expect(await attempt(made.envelope.subarray(0, made.header.bytes.length + 20))).toBe('truncated');
    expect(await attempt(new Uint8Array(0))).toBe('invalid_length');
    expect(await attempt(pattern(5000))).toBe('unknown_version');
    expect(await readdir(folder)).toEqual(['in']);
  });

  it('spools a stream where temporary files belong, and leaves none', async () => {
    const made = await sealed(pattern(3 * CHUNK_BYTES));
    const before = process.env['TMPDIR'];
    process.env['TMPDIR'] = folder;
    try {
      const file = await openEnvelopeFile(trickle(made.envelope, [65_536]));
      expect(await readdir(folder)).toEqual([]);
      const collected = new Collector();
      await file.extract({ ...keyOf(made), sink: collected });
      await file.close();
      expect(same(collected.bytes, pattern(3 * CHUNK_BYTES))).toBe(true);
    } finally {
      if (before === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = before;
    }
  });
});

describe('sealing', () => {
  const big = 24 * CHUNK_BYTES;

  it.each([
    ['shorter', (file: string) => truncateSync(file, CHUNK_BYTES)],
    ['longer', (file: string) => appendFileSync(file, 'more')],
  ])('refuses a file that becomes %s meanwhile', async (_, change) => {
    const made = await sealed(new Uint8Array(0));
    await writeFile(path('in'), new Uint8Array(big));
    let changed = false;
    const onProgress = (): void => {
      if (!changed) change(path('in'));
      changed = true;
    };
    expect(
      await outcome(() => sealFile({ ...sealing(made), source: path('in'), sink: path('out'), onProgress })),
    ).toBe('source_changed');
    expect(await readdir(folder)).toEqual(['in']);
  });

  it('reports progress that ends at the whole', async () => {
    const made = await sealed(new Uint8Array(0));
    await writeFile(path('in'), new Uint8Array(big));
    const seen: Progress[] = [];
    await sealFile({
      ...sealing(made),
      source: path('in'),
      sink: path('out'),
      onProgress: (progress) => seen.push(progress),
    });
    expect(seen.length).toBeGreaterThan(1);
    expect(seen.every(({ totalBytes }) => totalBytes === big)).toBe(true);
    const done = seen.map(({ doneBytes }) => doneBytes);
    expect(done).toEqual([...done].sort((a, b) => a - b));
    expect(done.at(-1)).toBe(big);
  });

  it.each(['file', 'stream'])(
    'stops when it is cancelled, with the reason, and leaves nothing (%s)',
    async (kind) => {
      const made = await sealed(new Uint8Array(0));
      await writeFile(path('in'), new Uint8Array(big));
      const controller = new AbortController();
      const reason = new Error('stop');
      const run = sealFile({
        ...sealing(made),
        source: kind === 'file' ? path('in') : trickle(new Uint8Array(big), [65_536]),
        sink: path('out'),
        signal: controller.signal,
        onProgress: () => controller.abort(reason),
      });
      await expect(run).rejects.toBe(reason);
      expect(await readdir(folder)).toEqual(['in']);
      await expect(
        sealFile({ ...sealing(made), source: path('in'), sink: path('out'), signal: controller.signal }),
      ).rejects.toBe(reason);
    },
  );

  it('stops while it waits for a stream that gives nothing, and for one that takes nothing', async () => {
    const made = await sealed(new Uint8Array(0));
    const reason = new Error('stop');
    const waiting = new AbortController();
    const run = sealFile({
      ...sealing(made),
      source: new PassThrough(),
      sink: path('out'),
      signal: waiting.signal,
    });
    setImmediate(() => waiting.abort(reason));
    await expect(run).rejects.toBe(reason);
    expect(await readdir(folder)).toEqual([]);

    await writeFile(path('in'), new Uint8Array(big));
    const stuck = new AbortController();
    const sink = new Writable({
      write() {
        stuck.abort(reason);
      },
    });
    await expect(sealFile({ ...sealing(made), source: path('in'), sink, signal: stuck.signal })).rejects.toBe(
      reason,
    );
  });

  it("fails with the streams' own errors", async () => {
    const made = await sealed(new Uint8Array(0));
    const broken = new Error('broken');
    const source = new Readable({
      read() {
        this.destroy(broken);
      },
    });
    await expect(sealFile({ ...sealing(made), source, sink: path('out') })).rejects.toBe(broken);
    const sink = new Writable({
      write(_part, _encoding, done) {
        done(broken);
      },
    });
    await writeFile(path('in'), new Uint8Array(big));
    await expect(sealFile({ ...sealing(made), source: path('in'), sink })).rejects.toBe(broken);
    expect(await readdir(folder)).toEqual(['in']);
  });

  it("fails with the file system's own errors", async () => {
    const made = await sealed(new Uint8Array(0));
    await writeFile(path('in'), 'x');
    const attempt = (source: string, sink: string) => sealFile({ ...sealing(made), source, sink });
    await expect(attempt(path('missing'), path('out'))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(attempt(path('in'), path('no/folder'))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(attempt(path('in'), folder)).rejects.toMatchObject({ code: 'EISDIR' });
    expect(await readdir(folder)).toEqual(['in']);
  });

  it('replaces a file as a whole, follows a link to it, and keeps a device a device', async () => {
    const made = await sealed(pattern(10));
    await writeFile(path('in'), pattern(10));
    await writeFile(path('target'), 'before');
    await symlink(path('target'), path('link'));
    const held = await open(path('target'), 'r');
    await sealFile({ ...sealing(made), source: path('in'), sink: path('link') });
    expect((await lstat(path('link'))).isSymbolicLink()).toBe(true);
    expect(same(await readFile(path('target')), made.envelope)).toBe(true);
    // Whoever had the old file open goes on seeing the old file.
    expect((await held.readFile()).toString()).toBe('before');
    await held.close();
    await sealFile({ ...sealing(made), source: path('in'), sink: '/dev/null' });
    expect((await stat('/dev/null')).isCharacterDevice()).toBe(true);
  });

  it('can leave the disk to the system', async () => {
    const made = await sealed(pattern(10));
    await writeFile(path('in'), pattern(10));
    await sealFile({ ...sealing(made), source: path('in'), sink: path('out'), durable: false });
    expect(same(await readFile(path('out')), made.envelope)).toBe(true);
  });
});

interface Ended {
  readonly code: number | null;
  readonly peakMegabytes: number;
  readonly errors: string;
}

/** A process of its own, as the CLI is one. `-` reads from, or writes to, a pipe fed and drained here. */
function child(args: readonly string[], input?: string, output?: string): Promise<Ended> {
  const script = new URL('child.fixture.ts', import.meta.url).pathname;
  const shell = `"$0" "$@" ${input === undefined ? '' : '< "$IN"'} ${output === undefined ? '' : '| cat > "$OUT"'}`;
  const piped =
    input === undefined ? shell : `cat "$IN" | "$0" "$@" ${output === undefined ? '' : '| cat > "$OUT"'}`;
  const process_ = spawn('bash', ['-o', 'pipefail', '-c', piped, process.execPath, script, ...args], {
    env: { ...process.env, IN: input, OUT: output },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  process_.stderr.on('data', (data: Buffer) => {
    errors += data.toString();
  });
  return new Promise((resolve, reject) => {
    process_.on('error', reject);
    process_.on('close', (code) => resolve({ code, errors, peakMegabytes: Number(errors.trim()) / 1024 }));
  });
}

describe('a whole process', () => {
  const MEGABYTES = 300;

  async function bigFile(): Promise<void> {
    const handle = await open(path('in'), 'w');
    await handle.truncate(MEGABYTES << 20);
    await handle.write(pattern(1000), 0, 1000, 123 << 20);
    await handle.close();
  }

  it('seals and opens hundreds of megabytes in little memory, by path and by pipe', async () => {
    await bigFile();
    const bySteps: Ended[] = [
      await child(['seal', path('in'), path('sealed')]),
      await child(['open', path('sealed'), path('opened')]),
      await child(['seal', '-', '-'], path('in'), path('sealed-by-pipe')),
      await child(['open', '-', '-'], path('sealed'), path('opened-by-pipe')),
    ];
    for (const { code, errors, peakMegabytes } of bySteps) {
      expect(code, errors).toBe(0);
      expect(peakMegabytes).toBeGreaterThan(20);
      expect(peakMegabytes).toBeLessThan(150);
    }
    const before = await readFile(path('in'));
    expect(same(await readFile(path('opened')), before)).toBe(true);
    expect(same(await readFile(path('opened-by-pipe')), before)).toBe(true);
    expect(same(await readFile(path('sealed')), await readFile(path('sealed-by-pipe')))).toBe(true);
  });

  it('that exits or is cancelled in the middle leaves no partial file', async () => {
    await bigFile();
    expect((await child(['seal', path('in'), path('out'), 'exit'])).code).toBe(7);
    expect(await readdir(folder)).toEqual(['in']);
    const cancelled = await child(['seal', path('in'), path('out'), 'abort']);
    expect(cancelled.code).toBe(1);
    expect(cancelled.errors).toContain('stopped');
    expect(await readdir(folder)).toEqual(['in']);
  });
});
