/** The linter refuses what the architecture forbids: for each rule a file that breaks it, in a copy of the layout. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const biome = join(root, 'node_modules', '.bin', 'biome');

const imports = 'lint/style/noRestrictedImports';
const nodeModules = 'lint/correctness/noNodejsModules';
const globals = 'lint/style/noRestrictedGlobals';

const from = (name: string): string => `import * as it from '${name}';\n\nexport const own = it;\n`;

/** Which workspaces each one may import, on its way to the layout of docs/architecture.md. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'packages/protocol': [],
  'packages/crypto': ['protocol'],
  'packages/audit': ['protocol'],
  'packages/policy': ['protocol'],
  'packages/store': ['protocol', 'crypto', 'audit', 'policy'],
  'packages/sdk': ['protocol', 'crypto', 'audit', 'policy'],
  'packages/testkit': ['protocol', 'crypto', 'audit', 'policy', 'store', 'sdk'],
  'apps/gateway': ['protocol', 'crypto', 'audit', 'policy', 'store'],
  'apps/cvs': ['protocol', 'crypto', 'audit', 'store'],
  'apps/cli': ['protocol', 'crypto', 'audit', 'policy', 'store', 'sdk', 'testkit', 'gateway', 'cvs'],
};
const nameOf = (folder: string): string => folder.slice(folder.indexOf('/') + 1);
const ALL = Object.keys(MAY_IMPORT).map(nameOf);
const PURE = ['packages/protocol', 'packages/crypto', 'packages/audit', 'packages/policy'];

interface Case {
  readonly file: string;
  readonly source: string;
  /** The rules that it breaks, none for a file that must pass. */
  readonly breaks: readonly string[];
}

const cases: Case[] = [];
for (const [folder, allowed] of Object.entries(MAY_IMPORT)) {
  for (const other of ALL.filter((name) => name !== nameOf(folder))) {
    const breaks = allowed.includes(other) ? [] : [imports];
    cases.push({ file: `${folder}/src/imports-${other}.ts`, source: from(`@astis/${other}`), breaks });
    cases.push({
      file: `${folder}/src/imports-part-of-${other}.ts`,
      source: from(`@astis/${other}/part`),
      breaks,
    });
  }
  const path =
    folder === 'packages/protocol' ? '../../crypto/src/index.ts' : '../../../packages/protocol/src/index.ts';
  cases.push({ file: `${folder}/src/by-path.ts`, source: from(path), breaks: [imports] });
  cases.push({
    file: `${folder}/src/sql.ts`,
    source: from('pg'),
    breaks: folder.endsWith('store') ? [] : [imports],
  });
  cases.push({
    file: `${folder}/src/query-builder.ts`,
    source: from('kysely'),
    breaks: folder.endsWith('store') ? [] : [imports],
  });
  if (folder !== 'packages/crypto') {
    cases.push({
      file: `${folder}/src/custody.ts`,
      source: from('@astis/crypto/custody'),
      breaks: folder === 'apps/cvs' ? [] : [imports],
    });
  }
  const pure = PURE.includes(folder);
  cases.push(
    { file: `${folder}/src/node.ts`, source: from('node:fs'), breaks: pure ? [nodeModules] : [] },
    { file: `${folder}/src/node.test.ts`, source: from('node:fs'), breaks: [] },
    {
      file: `${folder}/src/buffer.ts`,
      source: 'export const it = Buffer.alloc(1);\n',
      breaks: pure ? [globals] : [],
    },
  );
}
for (const app of ['gateway', 'cvs']) {
  cases.push({ file: `apps/${app}/src/testkit.test.ts`, source: from('@astis/testkit'), breaks: [] });
  cases.push({ file: `apps/${app}/src/cli.test.ts`, source: from('@astis/cli'), breaks: [imports] });
}
// The ways to import: none of them is a way around.
for (const [name, source] of [
  ['type', `import type { It } from 'pg';\n\nexport type Own = It;\n`],
  ['dynamic', `export const it = () => import('pg');\n`],
  ['export', `export { it } from 'pg';\n`],
  ['bare', `import 'pg';\n`],
  ['subpath', `import 'pg/lib/client.js';\n`],
] as const) {
  cases.push({ file: `apps/gateway/src/ways/${name}.ts`, source, breaks: [imports] });
}
cases.push(
  { file: 'packages/crypto/src/node/backend.ts', source: from('node:crypto'), breaks: [] },
  { file: 'packages/crypto/src/browser/backend.ts', source: from('node:crypto'), breaks: [nodeModules] },
  { file: 'e2e/src/stack.test.ts', source: from('@astis/testkit'), breaks: [] },
  { file: 'e2e/src/custody.test.ts', source: from('@astis/crypto/custody'), breaks: [imports] },
  {
    file: 'apps/gateway/src/any.ts',
    source: 'export const it = (value: any): unknown => value;\n',
    breaks: ['lint/suspicious/noExplicitAny'],
  },
  {
    file: 'apps/gateway/src/assertion.ts',
    source: 'export const it = (value: string | undefined): string => value!;\n',
    breaks: ['lint/style/noNonNullAssertion'],
  },
  {
    file: 'apps/gateway/src/floating.ts',
    source: 'const it = async (): Promise<void> => {};\n\nexport function run(): void {\n  it();\n}\n',
    breaks: ['lint/nursery/noFloatingPromises', 'lint/suspicious/noEmptyBlockStatements'],
  },
  {
    file: 'apps/gateway/src/print.ts',
    source: `console.log('it');\n`,
    breaks: ['lint/suspicious/noConsole'],
  },
  {
    file: 'apps/gateway/src/only.test.ts',
    source: `import { test } from 'vitest';\n\ntest.only('it', () => undefined);\n`,
    breaks: ['lint/suspicious/noFocusedTests'],
  },
);

describe('each rule of the architecture', () => {
  let folder: string;
  const found = new Map<string, string[]>();

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'astis-lint-'));
    for (const name of ['biome.json', '.gitignore']) cpSync(join(root, name), join(folder, name));
    for (const { file, source } of cases) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), source);
    }
    const { stdout } = spawnSync(biome, ['lint', '--reporter=json', '--max-diagnostics=none', '.'], {
      cwd: folder,
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    });
    const report: { diagnostics: { category: string; severity: string; location: { path: string } }[] } =
      JSON.parse(stdout);
    for (const { category, severity, location } of report.diagnostics) {
      if (severity === 'error') found.set(location.path, [...(found.get(location.path) ?? []), category]);
    }
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.each(cases)('$file', ({ file, breaks }) => {
    expect([...new Set(found.get(file))].toSorted()).toEqual([...breaks].toSorted());
  });
});
