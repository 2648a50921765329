/**
 * `npm start`: the whole stack on this computer with an organisation of three people, until Ctrl-C. What is there from
 * an earlier run goes on; what crashes is started again.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { localSigner } from '@astis/crypto';
import type { SigningPrivateKey } from '@astis/protocol';
import { parseAddress } from '@astis/protocol';
import { Client, createTenant, enrol, invite, parseEnrolmentCode } from '@astis/sdk';
import { httpsTransport, readProfile, saveProfile, unlockProfile } from '@astis/sdk/node';
import { DataDirInUseError, removePostgresData } from '@astis/store';
import type { Stack } from '@astis/testkit';
import { startStack } from '@astis/testkit';
import { UsageError } from '../terminal/exit.ts';

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));
const DOMAIN = 'demo.test';
const DAY = 86_400;

const home = (): string => process.env['ASTIS_HOME'] ?? join(ROOT, '.astis');
const say = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

/** Enrols alice (who administers), bob and carol, whoever of them is not there yet. */
async function enrolPeople(stack: Stack, profiles: string): Promise<void> {
  mkdirSync(profiles, { recursive: true, mode: 0o700 });
  const transport = httpsTransport(stack.ca);
  const save = async (name: string, code: string): Promise<void> =>
    saveProfile(join(profiles, name), await enrol(transport, parseEnrolmentCode(code)), { ca: stack.ca });
  try {
    if (!existsSync(join(profiles, 'alice', 'profile.json'))) {
      say('  making the organisation demo.test');
      const { code } = await createTenant(
        transport,
        stack.url,
        localSigner(stack.operatorKey as SigningPrivateKey),
        {
          name: 'Demo',
          domain: DOMAIN,
          admin: parseAddress(`alice@${DOMAIN}`),
          validSeconds: DAY,
        },
      );
      await save('alice', code);
    }
    const alice = new Client(await unlockProfile(readProfile(join(profiles, 'alice'))), transport);
    for (const name of ['bob', 'carol']) {
      if (existsSync(join(profiles, name, 'profile.json'))) continue;
      say(`  enrolling ${name}@${DOMAIN}`);
      const { code } = await invite(alice, {
        address: parseAddress(`${name}@${DOMAIN}`),
        kind: 'person',
        role: 'member',
        hardwareBacked: false,
        groups: [],
        validSeconds: DAY,
      });
      await save(name, code);
    }
  } finally {
    transport.close();
  }
}

/** The demo people's profiles name the gateway's URL; its port is another one when the last one is taken. */
function followPort(profiles: string, url: string): void {
  for (const name of ['alice', 'bob', 'carol']) {
    const path = join(profiles, name, 'profile.json');
    if (!existsSync(path)) continue;
    const profile: Record<string, unknown> = JSON.parse(readFileSync(path, 'utf8'));
    if (profile['gatewayUrl'] === url) continue;
    const fresh = `${path}.${process.pid}`;
    const text = `${JSON.stringify({ ...profile, gatewayUrl: url }, null, 2)}\n`;
    writeFileSync(fresh, text, { mode: 0o600, flush: true });
    renameSync(fresh, path);
  }
}

/** A path as one would type it: relative below the folder one is in, else absolute. */
function typed(path: string): string {
  const near = relative(process.cwd(), path);
  return near === '' || near.startsWith('..') ? path : near;
}

function whatNext(stack: Stack, profiles: string): string {
  const folder = typed(profiles);
  const config = folder === profiles ? folder : `$PWD/${folder}`;
  return `
ASTIS runs at ${stack.url}
  API reference  ${stack.url}/reference
  logs           ${typed(stack.logs)}/

Try it in another terminal, in this folder:

  export ASTIS_CONFIG_DIR="${config}"
  echo "the plan" > plan.txt
  ./astis --profile alice seal plan.txt --to bob@${DOMAIN} --ttl 2h
  ./astis --profile bob   open plan.txt.astis -o -
  ./astis --profile alice capsule show plan.txt.astis
  ./astis --profile alice capsule revoke plan.txt.astis
  ./astis --profile bob   open plan.txt.astis -o -        # refused now
  ./astis --profile alice audit list
  ./astis --profile alice audit export -o log.jsonl
  ./astis --profile alice audit verify log.jsonl          # needs no server

Ctrl-C stops it; nothing is lost. \`npm start -- --reset\` begins anew.`;
}

/** Starts what ended by itself again, with a growing pause, as long as we are not stopping. */
function supervise(stack: Stack, isStopping: () => boolean): void {
  const watch = (
    name: string,
    current: () => { readonly exited: Promise<unknown> },
    restart: () => Promise<void>,
  ): void => {
    let pause = 250;
    void (async () => {
      while (!isStopping()) {
        const startedAt = Date.now();
        await current().exited;
        if (isStopping()) return;
        pause = Date.now() - startedAt > 30_000 ? 250 : Math.min(pause * 2, 30_000);
        say(`${name} ended; starting it again`);
        await new Promise((wake) => setTimeout(wake, pause));
        await restart().catch((error: unknown) =>
          say(error instanceof Error ? error.message : `${name} does not start`),
        );
      }
    })();
  };
  watch(
    'PostgreSQL',
    () => stack.postgres,
    () => stack.restartPostgres(),
  );
  watch(
    'The key custody service',
    () => stack.cvs,
    () => stack.restartCvs(),
  );
  watch(
    'The gateway',
    () => stack.gateway,
    () => stack.restartGateway(),
  );
}

/** Asked to stop by Ctrl-C or SIGTERM, at any time from the very start. */
function stopRequest(): { readonly asked: Promise<void>; isAsked(): boolean } {
  let isAsked = false;
  const asked = new Promise<void>((resolve) => {
    const stop = (): void => {
      if (isAsked) return;
      isAsked = true;
      say('\nstopping');
      resolve();
    };
    process.on('SIGINT', stop);
    process.on('SIGTERM', stop);
  });
  return { asked, isAsked: () => isAsked };
}

async function start(folder: string): Promise<Stack> {
  try {
    return await startStack({ home: folder, usualPorts: true, onProgress: (what) => say(`  ${what}`) });
  } catch (error) {
    if (error instanceof DataDirInUseError)
      throw new UsageError(`ASTIS runs already on ${folder}. ${error.message}`);
    throw error;
  }
}

export async function dev(options: { readonly reset?: boolean }): Promise<void> {
  const folder = home();
  if (options.reset === true) await resetHome(folder);
  const request = stopRequest();
  const stack = await start(folder);
  try {
    const profiles = join(folder, 'profiles');
    followPort(profiles, stack.url);
    if (!request.isAsked()) await enrolPeople(stack, profiles);
    if (!request.isAsked()) {
      supervise(stack, request.isAsked);
      say(whatNext(stack, profiles));
    }
    await request.asked;
  } finally {
    await stack.stop();
  }
}

/** Only a folder that is a stack's is thrown away, and the data that lies elsewhere for root's sake. */
async function resetHome(folder: string): Promise<void> {
  if (!existsSync(folder)) return;
  if (!existsSync(join(folder, 'ports.json')))
    throw new UsageError(`${folder} does not look like a stack of ours; remove it by hand.`);
  try {
    await removePostgresData(join(folder, 'pg'));
  } catch (error) {
    if (error instanceof DataDirInUseError)
      throw new UsageError(`ASTIS may still run here; stop it before --reset. ${error.message}`);
    throw error;
  }
  rmSync(folder, { recursive: true, force: true });
}
