/** `astis enrol`, `whoami`, `people`, `domain` and `tenant`. */
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { localSigner } from '@astis/crypto';
import type { SigningPrivateKey } from '@astis/protocol';
import { Domain, fromBase64Url, Page, Person, ProtocolError } from '@astis/protocol';
import {
  createTenant,
  enrol as enrolWith,
  invite as inviteAddress,
  parseEnrolmentCode,
  removePerson,
} from '@astis/sdk';
import { httpsTransport, listProfiles, profilesFolder, readProfile, saveProfile } from '@astis/sdk/node';
import type { Globals, Session } from '../session.ts';
import { chosenProfile, currentFile, namedFolder, profileFolder } from '../session.ts';
import { NotFoundError, UsageError } from '../terminal/exit.ts';
import type { Output } from '../terminal/output.ts';
import { table, time } from '../terminal/output.ts';
import { newPassphrase } from '../terminal/passphrase.ts';
import { address, parseDuration } from '../terminal/values.ts';

export interface EnrolOptions {
  readonly ca?: string;
  /** False with --no-passphrase: the keys are kept plain. */
  readonly passphrase: boolean;
}

/** A folder that has no profile yet: `wanted`, or with a number behind it. */
function freeFolder(wanted: string): string {
  let folder = wanted;
  for (let n = 2; existsSync(join(folder, 'profile.json')); n++) folder = `${wanted}-${n}`;
  return folder;
}

export async function enrol(
  globals: Globals,
  output: Output,
  code: string,
  options: EnrolOptions,
): Promise<void> {
  const parsed = parseEnrolmentCode(code === '-' ? readFileSync(0, 'utf8') : code);
  const ca = options.ca === undefined ? undefined : readFileSync(options.ca, 'utf8');
  // A code is good once, so all that could keep the keys from being saved is found out before it is used.
  const named = globals.profile === undefined ? undefined : namedFolder(globals.profile);
  if (named !== undefined && existsSync(join(named, 'profile.json')))
    throw new UsageError(`There is a profile in ${named} already; choose another name with --profile.`);
  const parent = named ?? profilesFolder();
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  accessSync(parent, constants.W_OK);
  const secret = options.passphrase ? await newPassphrase() : undefined;

  const transport = httpsTransport(ca);
  try {
    const keys = await enrolWith(transport, parsed);
    const folder = named ?? freeFolder(join(profilesFolder(), keys.address));
    saveProfile(folder, keys, {
      ...(ca === undefined ? {} : { ca }),
      ...(secret === undefined ? {} : { passphrase: secret }),
    });
    if (secret === undefined) {
      output.warn(
        `Warning: the private keys lie in ${folder}/keys.json without a passphrase, readable for your user and for root.`,
      );
    }
    const waited =
      keys.rewrapped === 0 ? '' : ` ${keys.rewrapped} sealed before you enrolled can be opened now.`;
    output.result(
      { address: keys.address, profile: folder, rewrapped: keys.rewrapped },
      `Enrolled as ${keys.address}.${waited}`,
    );
  } finally {
    transport.close();
  }
}

export function whoami(globals: Globals, output: Output): void {
  const { address: own, gatewayUrl, tenant, folder, personId } = readProfile(profileFolder(globals.profile));
  const { tenantId, checkpointKey, receiptKey, logOrigin } = tenant;
  output.result(
    { address: own, personId, gatewayUrl, tenantId, profile: folder, checkpointKey, receiptKey, logOrigin },
    [
      `${own} at ${gatewayUrl}`,
      `profile         ${folder}`,
      `organisation    ${tenantId}`,
      `checkpoint key  ${checkpointKey}`,
      `receipt key     ${receiptKey}`,
    ].join('\n'),
  );
}

export function profiles(globals: Globals, output: Output): void {
  const current = chosenProfile(globals.profile);
  const items = listProfiles(profilesFolder()).map((name) => {
    const { address: own, gatewayUrl } = readProfile(namedFolder(name));
    return { name, address: own, gatewayUrl, current: name === current };
  });
  const rows = items.map((item) => [item.current ? '*' : '', item.name, item.address, item.gatewayUrl]);
  output.result(
    { items },
    rows.length === 0
      ? 'No profile yet; enrol with a code: astis enrol CODE'
      : table(['', 'NAME', 'ADDRESS', 'GATEWAY'], rows),
  );
}

export function useProfile(output: Output, name: string): void {
  const { address: own } = readProfile(namedFolder(name));
  mkdirSync(profilesFolder(), { recursive: true, mode: 0o700 });
  writeFileSync(currentFile(), `${name}\n`, { mode: 0o600 });
  output.result({ name, address: own }, `${own} is used where nothing else is said.`);
}

async function everybody({ client }: Session): Promise<readonly Person[]> {
  const people: Person[] = [];
  let cursor: string | undefined;
  do {
    const page = await client.get('/v1/people', Page(Person), { limit: 500, cursor });
    people.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return people;
}

async function somebody(session: Session, text: string): Promise<Person> {
  const wanted = address(text);
  const person = (await everybody(session)).find(
    (each) => each.address === wanted && each.status !== 'removed',
  );
  if (person === undefined) throw new NotFoundError(`There is nobody with the address ${wanted} here.`);
  return person;
}

export async function list(session: Session): Promise<void> {
  const people = await everybody(session);
  const rows = people.map((person) => [
    person.address,
    person.kind,
    person.role,
    person.status,
    person.groups.join(', '),
    time(person.createdAt),
  ]);
  session.output.result(
    { items: people },
    table(['ADDRESS', 'KIND', 'ROLE', 'STATUS', 'GROUPS', 'SINCE'], rows),
  );
}

export interface InviteOptions {
  readonly service?: boolean;
  readonly admin?: boolean;
  readonly hardware?: boolean;
  readonly group?: readonly string[];
  readonly valid: string;
}

export async function invite(
  { client, output }: Session,
  who: string,
  options: InviteOptions,
): Promise<void> {
  const { person, code } = await inviteAddress(client, {
    address: address(who),
    kind: options.service === true ? 'service' : 'person',
    role: options.admin === true ? 'admin' : 'member',
    hardwareBacked: options.hardware === true,
    groups: options.group ?? [],
    validSeconds: parseDuration(options.valid),
  });
  output.note(
    `Hand this code to ${person.address} alone, and not by a channel that others read. It is good once:`,
  );
  output.result({ person, code }, code);
}

export async function remove(session: Session, who: string): Promise<void> {
  const removed = await removePerson(session.client, await somebody(session, who));
  session.output.result(removed, `${removed.address} was removed; nothing is released to that key any more.`);
}

export async function groups(session: Session, who: string, names: readonly string[]): Promise<void> {
  const { id } = await somebody(session, who);
  const person = await session.client.write('PATCH', `/v1/people/${id}`, { groups: names }, Person);
  session.output.result(person, `${person.address}: ${person.groups.join(', ') || 'no groups'}`);
}

export async function domains({ client, output }: Session): Promise<void> {
  const page = await client.get('/v1/domains', Page(Domain));
  const rows = page.items.map((domain) => [domain.domain, domain.verified ? 'proved' : 'not proved yet']);
  output.result(page, table(['DOMAIN', 'STATUS'], rows));
}

export async function addDomain({ client, output }: Session, domain: string): Promise<void> {
  const added = await client.write('POST', '/v1/domains', { domain }, Domain);
  output.result(
    added,
    `Publish this DNS record, then run \`astis domain verify ${added.domain}\`:\n${added.txtName} TXT "${added.txtValue}"`,
  );
}

export async function verifyDomain({ client, output }: Session, domain: string): Promise<void> {
  const done = await client.write('POST', `/v1/domains/${encodeURIComponent(domain)}/verify`, {}, Domain);
  output.result(done, `${done.domain} is the organisation's.`);
}

export interface TenantOptions {
  readonly gateway: string;
  readonly operatorKey: string;
  readonly domain: string;
  readonly admin: string;
  readonly ca?: string;
}

function operatorSeed(path: string): SigningPrivateKey {
  const text = readFileSync(path, 'utf8').trim();
  try {
    const seed = fromBase64Url(text);
    if (seed.length === 32) return seed as SigningPrivateKey;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
  throw new UsageError(`${path} is not an operator's key: 32 bytes of base64url.`);
}

/** For whoever runs the platform: makes an organisation and prints its first admin's enrolment code. */
export async function makeTenant(output: Output, name: string, options: TenantOptions): Promise<void> {
  const transport = httpsTransport(options.ca === undefined ? undefined : readFileSync(options.ca, 'utf8'));
  try {
    const seed = operatorSeed(options.operatorKey);
    const { tenant, code } = await createTenant(
      transport,
      options.gateway.replace(/\/$/, ''),
      localSigner(seed),
      {
        name,
        domain: options.domain,
        admin: address(options.admin),
        validSeconds: 7 * 86_400,
      },
    );
    output.note(`${tenant.name} was made. Hand this code to ${options.admin} alone:`);
    output.result({ tenant, code }, code);
  } finally {
    transport.close();
  }
}
