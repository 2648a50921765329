import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { utf8 } from '@astis/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_LINE_BYTES, readLines, UNREADABLE_LINE } from './lines.ts';

async function collect(chunks: Iterable<Uint8Array>): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of readLines(chunks)) lines.push(line);
  return lines;
}

describe('reading lines', () => {
  it('is the same however the bytes are cut', async () => {
    const cuts = fc.array(fc.nat({ max: 40 }), { maxLength: 10 });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: 'grapheme' })), cuts, async (texts, sizes) => {
        const expected = texts.map((text) => text.replaceAll('\n', ' '));
        let rest = utf8(expected.map((text) => `${text}\n`).join(''));
        const chunks: Uint8Array[] = [];
        for (const size of sizes) {
          chunks.push(rest.subarray(0, size));
          rest = rest.subarray(size);
        }
        expect(await collect([...chunks, rest])).toEqual(expected);
      }),
    );
  });

  it('takes a last line without a newline, and nothing', async () => {
    expect(await collect([utf8('a\nb')])).toEqual(['a', 'b']);
    expect(await collect([utf8('a\n\n')])).toEqual(['a', '']);
    expect(await collect([])).toEqual([]);
  });

  it('keeps a byte order mark and a carriage return, which no export has', async () => {
    expect(await collect([utf8('\ufeffa\r\n')])).toEqual(['\ufeffa\r']);
  });

  it('gives no text for bytes that are not UTF-8', async () => {
    const chunks = [Uint8Array.of(0x61, 0xff, 0x0a), utf8('b\n'), Uint8Array.of(0xc3)];
    expect(await collect(chunks)).toEqual([UNREADABLE_LINE, 'b', UNREADABLE_LINE]);
  });

  it('keeps no more of an endless line than the limit', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage: () => void = runInNewContext('gc');
    let grown = 0;
    function* endless(): Generator<Uint8Array> {
      collectGarbage();
      const before = process.memoryUsage().arrayBuffers;
      for (let i = 0; i < 4000; i++) yield new Uint8Array(65_536).fill(0x61);
      collectGarbage();
      grown = process.memoryUsage().arrayBuffers - before;
      yield utf8('\nafter\n');
    }
    expect(await collect(endless())).toEqual([UNREADABLE_LINE, 'after']);
    // 262 MB went by. What is not swept yet counts too, so the bound is wide.
    expect(grown).toBeLessThan(100_000_000);
    const longest = 'x'.repeat(MAX_LINE_BYTES);
    expect(await collect([utf8(`${longest}\n${longest}x\n`)])).toEqual([longest, UNREADABLE_LINE]);
  });

  it('takes a long line byte by byte', async () => {
    function* bytes(): Generator<Uint8Array> {
      for (let i = 0; i < 300_000; i++) yield Uint8Array.of(0x61);
    }
    expect(await collect(bytes())).toEqual(['a'.repeat(300_000)]);
  });
});
