/**
 * The vocabulary of ASTIS policies in Cedar's schema syntax. Every policy is checked against it, in Cedar's strict
 * mode, when it is set; `decide` builds only what it describes. Printed in docs/policy.md (a test compares them).
 */
export const cedarSchema = `\
// A group of the organisation, by its name: Group::"legal".
entity Group;

// Whoever acts, seals or receives, by address: Person::"bob@example.com".
entity Person in [Group] {
  address: String,       // "bob@example.com"
  domain: String,        // "example.com"
  admin: Bool,           // administers the organisation
  outsider: Bool,        // is not a member of the organisation
  service: Bool,         // is a program, not a human being
  hardwareBacked: Bool,  // the certified key is held in hardware
};

// The organisation itself.
entity Organisation enum ["self"];

// One artifact for one recipient.
entity Capsule {
  labels: Set<String>,
  sealer: Person,
  recipient: Person,
  sealedAt: datetime,
  expiresAt: datetime,
};

// Circumstances of every request. The date, hour, minute and weekday are those of the organisation's time zone.
type Circumstances = {
  now: datetime,
  date: String,    // "2026-10-25"
  hour: Long,      // 0 to 23
  minute: Long,    // 0 to 59
  weekday: Long,   // 1 (Monday) to 7 (Sunday)
  ip: ipaddr,      // the client's network address
};

type CircumstancesWithTtl = {
  now: datetime, date: String, hour: Long, minute: Long, weekday: Long, ip: ipaddr,
  ttlSeconds: Long,    // the life asked for, counted from now
};

type CircumstancesWithApproval = {
  now: datetime, date: String, hour: Long, minute: Long, weekday: Long, ip: ipaddr,
  approved: Bool,      // a second person approved, and the approval is still valid
};

type CircumstancesOfApproval = {
  now: datetime, date: String, hour: Long, minute: Long, weekday: Long, ip: ipaddr,
  requester: Person,   // who asked for what is to be approved
};

// Decided once for each recipient of what is sealed.
action seal appliesTo { principal: Person, resource: Capsule, context: CircumstancesWithTtl };

// Handing the capsule to its recipient.
action release appliesTo { principal: Person, resource: Capsule, context: CircumstancesWithApproval };

// Opening by the organisation's key.
action recover appliesTo { principal: Person, resource: Capsule, context: CircumstancesWithApproval };

action extend appliesTo { principal: Person, resource: Capsule, context: CircumstancesWithTtl };
action revoke appliesTo { principal: Person, resource: Capsule, context: Circumstances };

// The second person's consent.
action approve;
action approveRelease, approveRecovery in [approve]
  appliesTo { principal: Person, resource: Capsule, context: CircumstancesOfApproval };

// The resource is the person invited.
action invite appliesTo { principal: Person, resource: Person, context: Circumstances };

action manage;
action managePeople, managePolicy, manageKeys, readAudit in [manage]
  appliesTo { principal: Person, resource: Organisation, context: Circumstances };
`;
