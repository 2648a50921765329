/** `npm run bench`: everything against a peer in the same run; medians with spread into bench/RESULTS.md. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { newOrganisation, startStack } from '@astis/testkit';
import { benchFiles } from './files.ts';
import { benchReleases } from './releases.ts';

const RUNS = 3;
const FILE_BYTES = 1_000_000_000;

const table = (rows: readonly (readonly string[])[]): string =>
  [
    '| what | ASTIS | peer | ratio |',
    '| --- | --- | --- | --- |',
    ...rows.map((row) => `| ${row.join(' | ')} |`),
  ].join('\n');

// Not below /tmp where that is memory: the disk is part of what is measured.
const folder = mkdtempSync('/var/tmp/astis-bench-');
const stack = await startStack({
  home: join(folder, 'stack'),
  gatewayEnv: { ASTIS_GATEWAY_TENANT_RATE: '1000000' },
});
try {
  const organisation = await newOrganisation(stack, 'files.test');
  console.error('files');
  const files = benchFiles(folder, organisation.admin.keys, stack.ca, FILE_BYTES, RUNS);
  organisation.transport.close();
  console.error(table(files.rows));
  console.error('releases');
  const releases = await benchReleases(stack, folder, RUNS);
  const [cpu] = cpus();
  const text = `# Results of \`npm run bench\`

${new Date().toISOString().slice(0, 10)}, ${cpu?.model.trim()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}.
Load generator, gateway and PostgreSQL share these cores. Median of ${RUNS} runs after one to warm up (smallest to largest).

## Files of ${FILE_BYTES / 1e6} MB

${table(files.rows)}

${files.notes.join('\n')}

## Releases and log

${table(releases.rows)}

${releases.notes.join('\n')}
`;
  writeFileSync(join(import.meta.dirname, '../RESULTS.md'), text);
  process.stdout.write(text);
} finally {
  await stack.stop();
  rmSync(folder, { recursive: true, force: true });
}
process.exit();
