#!/usr/bin/env node
/** `astis`: reads the command line, loads the one command that is asked for, and turns errors into exit codes. */
import { enableCompileCache } from 'node:module';

// Types are stripped and code compiled once; `astis open` is short enough for that to show.
enableCompileCache();

const { run } = await import('./program.ts');
process.exitCode = await run(process.argv);
