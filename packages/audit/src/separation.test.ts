/** "The verifier shares no code with the appender beyond the hash definitions", as the import graph has it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, it } from 'vitest';

const root = import.meta.dirname;

function importsOf(file: string): string[] {
  const source = readFileSync(file, 'utf8');
  const matches = source.matchAll(/^(?:import|export)\s(?!type\s)[^;]*?from '(\.[^']+)'/gms);
  return Array.from(matches, ([, path = '']) => join(dirname(file), path));
}

function reachable(folder: string): Set<string> {
  const open = readdirSync(join(root, folder))
    .filter((name) => !/\.(?:test|fixture)\.ts$/.test(name))
    .map((name) => join(root, folder, name));
  const seen = new Set<string>();
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (seen.has(file)) continue;
    expect(existsSync(file), file).toBe(true);
    seen.add(file);
    open.push(...importsOf(file));
  }
  return new Set(Array.from(seen, (file) => relative(root, file)));
}

it('verify/ and log/ meet in the definitions of what is hashed, and nowhere else', () => {
  const verifier = reachable('verify');
  const appender = reachable('log');
  expect(verifier.size).toBeGreaterThan(10);
  expect([...verifier].filter((file) => appender.has(file)).sort()).toEqual([
    'errors.ts',
    'event.ts',
    'formats.ts',
    'hashes.ts',
    'note-key.ts',
    'record.ts',
  ]);
});
