/** Requests for the tests of this package: an ordinary one, to be varied. */
import { defaultPolicyDocument } from './default-document.ts';
import type { PolicyDocument } from './document.ts';
import type { PolicyCapsule, PolicyPerson, PolicyRequest } from './request.ts';

export const person = (name: string, facts: Partial<PolicyPerson> = {}): PolicyPerson => ({
  address: `${name}@example.com`,
  admin: false,
  outsider: false,
  service: false,
  hardwareBacked: false,
  groups: [],
  ...facts,
});

export const alice = person('alice', { groups: ['legal', 'staff'] });
export const bob = person('bob', { groups: ['staff'] });
export const carol = person('carol', { admin: true });
export const mallory = person('mallory', { address: 'mallory@elsewhere.example', outsider: true });

/** Monday, 2026-03-02, 12:00 UTC. */
export const monday = Date.UTC(2026, 2, 2, 12) / 1000;

/** Sealed by alice for bob. */
export const capsule = (facts: Partial<PolicyCapsule> = {}): PolicyCapsule => ({
  id: 'AAAAAAAAAAAAAAAAAAAAAA',
  labels: [],
  sealer: alice,
  recipient: bob,
  sealedAt: monday - 3600,
  expiresAt: monday + 3600,
  ...facts,
});

type Release = Extract<PolicyRequest, { readonly approved: boolean }>;

/** Bob opens what alice sealed for him, at noon, from inside. */
export const release = (facts: Partial<Release> = {}): Release => ({
  action: 'release',
  principal: bob,
  capsule: capsule(),
  approved: false,
  now: monday,
  ip: '10.1.2.3',
  ...facts,
});

/** The default document with other Cedar text. */
export const withCedar = (cedar: string, facts: Partial<PolicyDocument> = {}): PolicyDocument => ({
  ...defaultPolicyDocument,
  ...facts,
  cedar,
});

/** The default document with more Cedar text. */
export const withMore = (cedar: string, facts: Partial<PolicyDocument> = {}): PolicyDocument =>
  withCedar(`${defaultPolicyDocument.cedar}\n${cedar}`, facts);
