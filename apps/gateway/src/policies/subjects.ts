/** People and capsules as policies see them. */
import type { PolicyPerson } from '@astis/policy';
import type { Address, TenantId } from '@astis/protocol';
import { domainOf } from '@astis/protocol';
import type { Tx } from '@astis/store';
import { people, tenants } from '@astis/store';

/** Somebody with an account, or the holder-to-be of an address. */
export async function policyPerson(tx: Tx, tenantId: TenantId, address: Address): Promise<PolicyPerson> {
  const person = await people.findByAddress(tx, tenantId, address);
  if (person !== undefined) return subjectOf(person);
  // The organisation itself is no outsider; anybody else is one whose domain the organisation has not proved.
  const outsider =
    address !== 'organisation' && !(await tenants.isProvedDomain(tx, tenantId, domainOf(address)));
  return { address, admin: false, outsider, service: false, hardwareBacked: false, groups: [] };
}

export const subjectOf = (person: Awaited<ReturnType<typeof people.getPerson>>): PolicyPerson => ({
  address: person.address,
  admin: person.role === 'admin',
  outsider: person.outsider,
  service: person.kind === 'service',
  hardwareBacked: person.hardwareBacked,
  groups: person.groups,
});
