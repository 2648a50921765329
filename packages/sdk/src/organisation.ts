/** What admins do: invite, remove, make tenants. */
import type { Signer } from '@astis/crypto';
import { signObject, verifyCertificate } from '@astis/crypto';
import type { Address, Role, SigningPublicKey } from '@astis/protocol';
import {
  DirectoryAnswer,
  encodeGrant,
  encodeRevocation,
  encodeTenantOrder,
  fromBase64Url,
  Person,
  parseAddress,
  parseTenantId,
  Tenant,
  toBase64Url,
} from '@astis/protocol';
import type { Client, Transport } from './client.ts';
import { postOpenly } from './client.ts';
import { enrolmentSigner, formatEnrolmentCode, newEnrolmentSecret } from './enrolment.ts';

export interface Invitation {
  readonly address: Address;
  readonly kind: 'person' | 'service';
  readonly role: Role;
  readonly hardwareBacked: boolean;
  readonly groups: readonly string[];
  /** How long the code may be used. */
  readonly validSeconds: number;
}

/** Invites an address. The code is for that person alone: hand it over by another way than the gateway. */
export async function invite(client: Client, invitation: Invitation) {
  const { tenant, signer, gatewayUrl } = client.identity;
  const secret = newEnrolmentSecret();
  const grant = encodeGrant({
    tenantId: tenant.tenantId,
    address: invitation.address,
    enrolmentKey: enrolmentSigner(secret).publicKey,
    kind: invitation.kind,
    role: invitation.role,
    hardwareBacked: invitation.hardwareBacked,
    notAfter: Math.floor(Date.now() / 1000) + invitation.validSeconds,
  });
  const body = {
    grant: toBase64Url(await signObject('astis/enrolment-grant', grant, signer)),
    groups: [...invitation.groups],
  };
  const person = await client.write('POST', '/v1/people', body, Person, crypto.randomUUID());
  const code = formatEnrolmentCode({
    secret,
    tenantId: tenant.tenantId,
    identityKey: tenant.identityKey,
    gatewayUrl,
  });
  return { person, code };
}

/** Removes a person: the gateway ends releases at once, the CVS takes the certificate back by the signed revocation. */
export async function removePerson(
  client: Client,
  person: { readonly id: string; readonly address: string; readonly serial?: number | undefined },
) {
  const { tenant, signer } = client.identity;
  const body: { revocation?: string } = {};
  if (person.serial !== undefined) {
    const address = parseAddress(person.address);
    const { certificates } = await client.write(
      'POST',
      '/v1/directory/lookup',
      { addresses: [address] },
      DirectoryAnswer,
    );
    // What is revoked is what the organisation certified, whatever serial the listing said.
    const live = certificates.map((bytes) =>
      verifyCertificate(fromBase64Url(bytes), tenant.identityKey, tenant.tenantId),
    );
    const serial = live.find((certificate) => certificate.address === address)?.serial ?? person.serial;
    const at = Math.floor(Date.now() / 1000);
    const payload = encodeRevocation({ tenantId: tenant.tenantId, address, serial, at });
    body.revocation = toBase64Url(await signObject('astis/key-revocation', payload, signer));
  }
  return client.write('POST', `/v1/people/${person.id}/remove`, body, Person, crypto.randomUUID());
}

/** Makes an organisation with the operator's key; returns the first admin's enrolment code. */
export async function createTenant(
  transport: Transport,
  gatewayUrl: string,
  operator: Signer,
  wanted: {
    readonly name: string;
    readonly domain: string;
    readonly admin: Address;
    readonly validSeconds: number;
  },
) {
  const secret = newEnrolmentSecret();
  const tenantId = parseTenantId(crypto.randomUUID());
  const order = encodeTenantOrder({
    tenantId,
    name: wanted.name,
    domain: wanted.domain,
    admin: wanted.admin,
    enrolmentKey: enrolmentSigner(secret).publicKey,
    notAfter: Math.floor(Date.now() / 1000) + wanted.validSeconds,
  });
  const signed = toBase64Url(await signObject('astis/tenant-order', order, operator));
  const tenant = await postOpenly(transport, `${gatewayUrl}/v1/tenants`, { order: signed }, Tenant);
  const identityKey = fromBase64Url(tenant.identityKey) as SigningPublicKey;
  return { tenant, code: formatEnrolmentCode({ secret, tenantId, identityKey, gatewayUrl }) };
}
