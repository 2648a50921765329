/** An organisation with people in it, through the real API. */
import { localSigner, localUnwrapper } from '@astis/crypto';
import type { Address, Role, SigningPrivateKey } from '@astis/protocol';
import { parseAddress } from '@astis/protocol';
import type { EnrolledKeys, Identity, Transport } from '@astis/sdk';
import { Client, createTenant, enrol, invite, parseEnrolmentCode } from '@astis/sdk';
import { httpsTransport } from '@astis/sdk/node';
import type { Stack } from './stack.ts';

export interface Member {
  readonly keys: EnrolledKeys;
  readonly identity: Identity;
  readonly client: Client;
}

export interface Organisation {
  readonly admin: Member;
  readonly transport: Transport & { close(): void };
  /** Invites and enrols. */
  add(
    address: string,
    options?: { readonly role?: Role; readonly groups?: readonly string[] },
  ): Promise<Member>;
  /** An enrolment code that is not used yet. */
  invite(address: string): Promise<string>;
}

const DAY = 86_400;

async function memberOf(keys: EnrolledKeys, transport: Transport): Promise<Member> {
  const identity: Identity = {
    gatewayUrl: keys.gatewayUrl,
    tenant: keys.tenant,
    personId: keys.personId,
    address: keys.address,
    signingKey: keys.signingKey,
    signer: localSigner(keys.signingKey),
    unwrapper: await localUnwrapper(keys.kem, keys.kemPrivateKey),
  };
  return { keys, identity, client: new Client(identity, transport) };
}

/** Makes the organisation of a domain, with `admin@domain`. */
export async function newOrganisation(
  stack: Pick<Stack, 'url' | 'ca' | 'operatorKey'>,
  domain: string,
): Promise<Organisation> {
  const transport = httpsTransport(stack.ca);
  const operator = localSigner(stack.operatorKey as SigningPrivateKey);
  const made = await createTenant(transport, stack.url, operator, {
    name: domain,
    domain,
    admin: parseAddress(`admin@${domain}`),
    validSeconds: DAY,
  });
  const admin = await memberOf(await enrol(transport, parseEnrolmentCode(made.code)), transport);
  const inviteAddress = async (address: Address, role: Role, groups: readonly string[]): Promise<string> => {
    const invitation = {
      address,
      kind: 'person',
      role,
      hardwareBacked: false,
      groups,
      validSeconds: DAY,
    } as const;
    return (await invite(admin.client, invitation)).code;
  };
  return {
    admin,
    transport,
    async add(address, { role = 'member', groups = [] } = {}) {
      const code = await inviteAddress(parseAddress(address), role, groups);
      return memberOf(await enrol(transport, parseEnrolmentCode(code)), transport);
    },
    invite: (address) => inviteAddress(parseAddress(address), 'member', []),
  };
}
