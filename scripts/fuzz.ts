/** `npm run fuzz [-- INPUTS [SEED]]`: a million inputs and more for every decoder. */
import { CODECS } from '../packages/protocol/src/codecs.fixture.ts';
import { fuzz } from '../packages/protocol/src/fuzz/fuzz.ts';

const inputs = Number(process.argv[2] ?? 1_000_000);
const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31);

process.stdout.write(`seed ${seed}\n`);
for (const codec of CODECS) {
  const report = fuzz(codec, inputs, seed);
  const codes = [...report.refused].sort(([, a], [, b]) => b - a).map(([code, count]) => `${code} ${count}`);
  process.stdout.write(
    `${codec.name}: ${report.inputs} inputs, ${report.accepted} accepted; ${codes.join(', ')}\n`,
  );
}
