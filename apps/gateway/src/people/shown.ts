/** A person as the API shows it. */
import type { Person } from '@astis/protocol';
import type { people } from '@astis/store';

export const shown = (person: Awaited<ReturnType<typeof people.getPerson>>): Person => ({
  id: person.id,
  address: person.address,
  kind: person.kind,
  role: person.role,
  status: person.status,
  groups: [...person.groups],
  hardwareBacked: person.hardwareBacked,
  createdAt: person.createdAt.toISOString(),
  ...(person.serial === undefined ? {} : { serial: person.serial }),
  ...(person.signingKeyId === undefined ? {} : { signingKeyId: person.signingKeyId }),
  ...(person.kemKeyId === undefined ? {} : { kemKeyId: person.kemKeyId }),
});
