/**
 * Fuzzes one codec. What holds for every input: the decoder refuses with a ProtocolError, or what it accepted
 * encodes to the very same bytes. Anything else (another exception, a second encoding of one value) is a finding.
 */
import fc from 'fast-check';
import type { Codec } from '../codecs.fixture.ts';
import { equalBytes, ProtocolError, toHex } from '../formats.ts';
import { generator, mutate, mutateCbor, noise } from './mutate.ts';

const SAMPLES = 200;

export interface FuzzReport {
  readonly inputs: number;
  /** Inputs that were accepted: mutations which happen to be valid objects themselves. */
  readonly accepted: number;
  /** Refusals by error code. */
  readonly refused: ReadonlyMap<string, number>;
}

export class FuzzFinding extends Error {
  override readonly name = 'FuzzFinding';
}

const finding = (codec: Codec, input: Uint8Array, what: string): FuzzFinding =>
  new FuzzFinding(`${codec.name}: ${what}: ${toHex(input)}`);

function inputOf(codec: Codec, sample: () => Uint8Array, next: () => number): Uint8Array {
  const choice = next() % 16;
  if (choice === 0) return noise(next);
  if (codec.cbor === undefined || choice >= 9) return mutate(sample(), sample(), next);
  return codec.cbor.close(mutateCbor(codec.cbor.open(sample()), next));
}

/** @throws FuzzFinding with the input in hexadecimal */
export function fuzz(codec: Codec, inputs: number, seed: number): FuzzReport {
  const next = generator(seed);
  const samples = fc.sample(codec.samples, { numRuns: SAMPLES, seed });
  const sample = (): Uint8Array => samples[next() % samples.length] ?? new Uint8Array(0);
  const refused = new Map<string, number>();
  let accepted = 0;
  for (let i = 0; i < inputs; i++) {
    const input = inputOf(codec, sample, next);
    try {
      if (!equalBytes(codec.recode(input), input))
        throw finding(codec, input, 'accepted, but encodes otherwise');
      accepted++;
    } catch (error) {
      if (error instanceof FuzzFinding) throw error;
      if (!(error instanceof ProtocolError)) throw finding(codec, input, String(error));
      refused.set(error.code, (refused.get(error.code) ?? 0) + 1);
    }
  }
  return { inputs, accepted, refused };
}
