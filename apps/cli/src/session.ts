/** The profile that a command works with, unlocked, and a client for its gateway. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from '@astis/sdk';
import type { Profile } from '@astis/sdk/node';
import { httpsTransport, listProfiles, profilesFolder, readProfile, unlockProfile } from '@astis/sdk/node';
import { UsageError } from './terminal/exit.ts';
import type { Output } from './terminal/output.ts';

export interface Globals {
  readonly json: boolean;
  readonly profile: string | undefined;
}

export interface Session {
  readonly output: Output;
  readonly profile: Profile;
  readonly client: Client;
  close(): void;
}

/** The folder of a profile: by name, by path, or the only one there is. */
export function profileFolder(name: string | undefined): string {
  const wanted = name ?? process.env['ASTIS_PROFILE'];
  if (wanted !== undefined) return wanted.includes('/') ? wanted : join(profilesFolder(), wanted);
  const names = listProfiles(profilesFolder());
  if (names.length > 1) {
    throw new UsageError(`There are several profiles (${names.join(', ')}); choose one with --profile.`);
  }
  return join(profilesFolder(), names[0] ?? 'default');
}

/** From a file, since arguments and the environment are seen by others. */
export function passphrase(): string | undefined {
  const path = process.env['ASTIS_PASSPHRASE_FILE'];
  return path === undefined ? undefined : readFileSync(path, 'utf8').replace(/\r?\n$/, '');
}

export async function openSession(globals: Globals, output: Output): Promise<Session> {
  const profile = readProfile(profileFolder(globals.profile));
  const identity = await unlockProfile(profile, passphrase());
  const transport = httpsTransport(profile.ca);
  return { output, profile, client: new Client(identity, transport), close: () => transport.close() };
}
