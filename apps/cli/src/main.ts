#!/usr/bin/env -S node --max-semi-space-size=2
/** `astis`: reads the command line, loads the one command that is asked for, and turns errors into exit codes. */
import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

// Types are stripped and code is compiled once; `astis open` is short enough for that to show. The cache is code that
// will be run, so it lies where no other user can write, not in the shared temporary folder.
enableCompileCache(
  process.env['NODE_COMPILE_CACHE'] ??
    join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'astis', 'compiled'),
);

const { run } = await import('./program.ts');
process.exitCode = await run(process.argv);
