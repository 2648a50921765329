/** Somebody as policies see them. */
export interface PolicyPerson {
  /** Canonical address (`canonicalAddress` of @astis/protocol); the id of the Cedar entity. */
  readonly address: string;
  readonly admin: boolean;
  readonly outsider: boolean;
  /** A service client, not a human being. */
  readonly service: boolean;
  /** Whether the person's certified key is held in hardware. */
  readonly hardwareBacked: boolean;
  /** Names of the groups, in any order. Only those in `CompiledPolicy.groups` can matter. */
  readonly groups: readonly string[];
}

/** One artifact for one recipient. */
export interface PolicyCapsule {
  readonly id: string;
  readonly labels: readonly string[];
  readonly sealer: PolicyPerson;
  readonly recipient: PolicyPerson;
  /** Seconds since 1970. */
  readonly sealedAt: number;
  /** Seconds since 1970. */
  readonly expiresAt: number;
}

interface Circumstances {
  readonly principal: PolicyPerson;
  /** The database's clock, seconds since 1970. */
  readonly now: number;
  /** The client's IPv4 or IPv6 address as text. */
  readonly ip: string;
}

/** What is asked. `capsule` and `person` are Cedar's resource; the organisation is it where neither stands. */
export type PolicyRequest = Circumstances &
  (
    | {
        readonly action: 'seal' | 'extend';
        readonly capsule: PolicyCapsule;
        /** The life asked for, in seconds from now. */
        readonly ttlSeconds: number;
      }
    | {
        readonly action: 'release' | 'recover';
        readonly capsule: PolicyCapsule;
        /** A second person approved this action, for this principal and capsule, no longer ago than the document says. */
        readonly approved: boolean;
      }
    | {
        readonly action: 'approveRelease' | 'approveRecovery';
        readonly capsule: PolicyCapsule;
        /** Who asked for the release or recovery. */
        readonly requester: PolicyPerson;
      }
    | { readonly action: 'revoke'; readonly capsule: PolicyCapsule }
    | {
        readonly action: 'invite';
        /** Whom to invite. */
        readonly person: PolicyPerson;
      }
    | { readonly action: 'managePeople' | 'managePolicy' | 'manageKeys' | 'readAudit' }
  );

export type PolicyAction = PolicyRequest['action'];

export const POLICY_ACTIONS: readonly PolicyAction[] = [
  'seal',
  'release',
  'recover',
  'extend',
  'revoke',
  'approveRelease',
  'approveRecovery',
  'invite',
  'managePeople',
  'managePolicy',
  'manageKeys',
  'readAudit',
];

/** The group of actions that an action belongs to, if any, as the schema has it. */
export const ACTION_GROUPS: ReadonlyMap<PolicyAction, string> = new Map<PolicyAction, string>([
  ['approveRelease', 'approve'],
  ['approveRecovery', 'approve'],
  ['managePeople', 'manage'],
  ['managePolicy', 'manage'],
  ['manageKeys', 'manage'],
  ['readAudit', 'manage'],
]);
