/** Makes wrong bytes out of right ones, cheaply and repeatably. */
import type { Cbor } from '../formats.ts';
import { decodeCbor, encodeCbor } from '../formats.ts';

/** xorshift128+ would be more than is needed: mulberry32, so that a seed repeats a run. */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** Heads and values that decoders get wrong: lengths at the edges, other major types, indefinite, tags, floats. */
const NASTY = [
  0x00, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1f, 0x20, 0x37, 0x38, 0x3b, 0x40, 0x58, 0x59, 0x5a, 0x5b, 0x5f, 0x60,
  0x78, 0x7a, 0x7f, 0x80, 0x98, 0x9a, 0x9b, 0x9f, 0xa0, 0xb8, 0xba, 0xbf, 0xc0, 0xc2, 0xd8, 0xf4, 0xf5, 0xf6,
  0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xff,
];

const at = <T>(list: readonly T[], index: number): T => {
  const item = list[index % list.length];
  if (item === undefined) throw new RangeError('empty list');
  return item;
};

type Mutation = (bytes: Uint8Array, next: () => number, other: Uint8Array) => Uint8Array;

const splice = (bytes: Uint8Array, from: number, removed: number, added: Uint8Array): Uint8Array => {
  const out = new Uint8Array(bytes.length - removed + added.length);
  out.set(bytes.subarray(0, from));
  out.set(added, from);
  out.set(bytes.subarray(from + removed), from + added.length);
  return out;
};

const place = (bytes: Uint8Array, next: () => number): number => next() % (bytes.length + 1);

const MUTATIONS: readonly Mutation[] = [
  // One bit.
  (bytes, next) => {
    const out = bytes.slice();
    const i = next() % Math.max(1, out.length);
    if (out.length > 0) out[i] = (out[i] ?? 0) ^ (1 << (next() & 7));
    return out;
  },
  // One byte, by any other.
  (bytes, next) => {
    const out = bytes.slice();
    if (out.length > 0) out[next() % out.length] = next() & 255;
    return out;
  },
  // One byte, by a head that means something.
  (bytes, next) => {
    const out = bytes.slice();
    if (out.length > 0) out[next() % out.length] = at(NASTY, next());
    return out;
  },
  // Near the start, where the structure is.
  (bytes, next) => {
    const out = bytes.slice();
    if (out.length > 0) out[next() % Math.min(out.length, 48)] = at(NASTY, next());
    return out;
  },
  (bytes, next) => bytes.slice(0, place(bytes, next)),
  (bytes, next) => splice(bytes, place(bytes, next), 0, Uint8Array.of(next() & 255)),
  (bytes, next) => splice(bytes, place(bytes, next), 0, Uint8Array.of(at(NASTY, next()), next() & 255)),
  (bytes, next) => splice(bytes, bytes.length, 0, Uint8Array.of(next() & 255)),
  (bytes, next) => {
    const from = place(bytes, next);
    return splice(bytes, from, Math.min(next() % 8, bytes.length - from), new Uint8Array(0));
  },
  // A stretch said twice.
  (bytes, next) => {
    const from = place(bytes, next);
    return splice(bytes, from, 0, bytes.subarray(from, from + (next() % 64)));
  },
  // Two stretches exchanged, as map entries out of order would be.
  (bytes, next) => {
    const cut = place(bytes, next);
    return splice(bytes.subarray(cut), bytes.length - cut, 0, bytes.subarray(0, cut));
  },
  // A piece of another valid object.
  (bytes, next, other) => {
    const from = place(bytes, next);
    const removed = Math.min(next() % 64, bytes.length - from);
    const start = place(other, next);
    return splice(bytes, from, removed, other.subarray(start, start + (next() % 64)));
  },
];

/** One to four mutations of `bytes`; `other` lends pieces. */
export function mutate(bytes: Uint8Array, other: Uint8Array, next: () => number): Uint8Array {
  let out = bytes;
  for (let rounds = 1 + (next() & 3); rounds > 0; rounds--) out = at(MUTATIONS, next())(out, next, other);
  return out;
}

/** Numbers at the edges of what fields and CBOR heads can hold. */
const EDGES = [-1, 0, 1, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER];

const other = (next: () => number): Cbor => {
  const kinds: readonly Cbor[] = [
    at(EDGES, next()),
    new Uint8Array(at([0, 1, 15, 16, 17, 31, 32, 33, 48, 64, 65, 1120, 1216], next())),
    at(['', 'organisation', 'a@b.example', 'A@b.example', '\u0000', 'x'.repeat(300)], next()),
    (next() & 1) === 0,
    [],
    new Map(),
  ];
  return at(kinds, next());
};

/** Changes one value somewhere in the tree, by another of its kind or of any kind, or adds or drops one. */
function mutateValue(value: Cbor, next: () => number): Cbor {
  const descend = (next() & 3) !== 0;
  if (Array.isArray(value) && value.length > 0 && descend) {
    const items: Cbor[] = [...value];
    const i = next() % items.length;
    const how = next() % 8;
    if (how === 0) items.splice(i, 1);
    else if (how === 1) items.push(at(items, i));
    else items[i] = mutateValue(at(items, i), next);
    return items;
  }
  if (value instanceof Map && value.size > 0 && descend) {
    const entries: [number, Cbor][] = [...value];
    const [key, inner] = at(entries, next());
    const map = new Map(entries);
    const how = next() % 8;
    if (how === 0) map.delete(key);
    else if (how === 1) map.set(at(EDGES, next()), inner);
    else map.set(key, mutateValue(inner, next));
    return map;
  }
  if (typeof value === 'number' && descend)
    return (next() & 1) === 0 ? value ^ (1 << (next() & 15)) : value + 1;
  if (typeof value === 'string' && descend) return mutateText(value, next);
  if (value instanceof Uint8Array && value.length > 0 && descend)
    return at(MUTATIONS, next())(value, next, value);
  return other(next);
}

function mutateText(text: string, next: () => number): string {
  const at = next() % (text.length + 1);
  const insert = String.fromCodePoint([0x41, 0x40, 0x2e, 0x20, 0x00, 0xe4, 0x212a, 0x1f600][next() & 7] ?? 0);
  return text.slice(0, at) + insert + text.slice(at + (next() & 1));
}

/** Well-formed, deterministic CBOR, but not the object that it was: gets past the first checks. */
export function mutateCbor(bytes: Uint8Array, next: () => number): Uint8Array {
  return encodeCbor(mutateValue(decodeCbor(bytes) as Cbor, next));
}

/** Bytes with no valid object behind them. */
export function noise(next: () => number): Uint8Array {
  const out = new Uint8Array(next() % 200);
  for (let i = 0; i < out.length; i++) out[i] = (next() & 1) === 0 ? at(NASTY, next()) : next() & 255;
  return out;
}
