/** The profile that a command works with, unlocked, and a client for its gateway. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from '@astis/sdk';
import type { Profile } from '@astis/sdk/node';
import {
  httpsTransport,
  listProfiles,
  ProfileError,
  profilesFolder,
  readProfile,
  unlockProfile,
} from '@astis/sdk/node';
import { UsageError } from './terminal/exit.ts';
import type { Output } from './terminal/output.ts';
import { existingPassphrase } from './terminal/passphrase.ts';

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

/** The file that names the profile which `astis profile use` chose. */
export const currentFile = (): string => join(profilesFolder(), 'current');

/** A profile's folder by name or path. */
export const namedFolder = (name: string): string =>
  name.includes('/') ? name : join(profilesFolder(), name);

/** The name or path that was chosen: by flag, by ASTIS_PROFILE, or by `astis profile use`. */
export function chosenProfile(flag: string | undefined): string | undefined {
  const wanted = flag ?? process.env['ASTIS_PROFILE'];
  if (wanted !== undefined && wanted !== '') return wanted;
  const path = currentFile();
  const current = existsSync(path) ? readFileSync(path, 'utf8').trim() : '';
  return current === '' ? undefined : current;
}

/** The folder of the chosen profile, or of the only one there is. */
export function profileFolder(flag: string | undefined): string {
  const chosen = chosenProfile(flag);
  if (chosen !== undefined) return namedFolder(chosen);
  const names = listProfiles(profilesFolder());
  if (names.length > 1) {
    throw new UsageError(
      `There are several profiles (${names.join(', ')}); choose one with --profile NAME, or for good with \`astis profile use NAME\`.`,
    );
  }
  return join(profilesFolder(), names[0] ?? 'default');
}

async function unlock(profile: Profile) {
  try {
    return await unlockProfile(profile, undefined);
  } catch (error) {
    if (!(error instanceof ProfileError) || error.code !== 'passphrase_needed') throw error;
    return unlockProfile(profile, await existingPassphrase());
  }
}

export async function openSession(globals: Globals, output: Output): Promise<Session> {
  const profile = readProfile(profileFolder(globals.profile));
  const identity = await unlock(profile);
  const transport = httpsTransport(profile.ca);
  return { output, profile, client: new Client(identity, transport), close: () => transport.close() };
}
