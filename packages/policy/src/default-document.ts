import type { PolicyDocument } from './document.ts';

const cedar = `\
@id("members-seal")
@reason("Members may seal.")
permit (principal, action == Action::"seal", resource)
unless { principal.outsider };

@id("no-sealing-to-outsiders")
@reason("Sealing to people outside of the organisation is not allowed.")
forbid (principal, action == Action::"seal", resource)
when { resource.recipient.outsider };

@id("recipients-open")
@reason("A recipient may open what was sealed to them.")
permit (principal, action == Action::"release", resource)
when { resource.recipient == principal };

@id("sealers-and-admins-decide-on-life")
@reason("The sealer or an administrator may revoke a capsule or extend its life.")
permit (principal, action in [Action::"revoke", Action::"extend"], resource)
when { resource.sealer == principal || principal.admin };

@id("sealers-and-admins-approve")
@reason("The sealer or an administrator may approve a release.")
permit (principal, action == Action::"approveRelease", resource)
when { resource.sealer == principal || principal.admin };

@id("admins-administer")
@reason("Administrators administer the organisation.")
permit (principal, action in [Action::"manage", Action::"invite"], resource)
when { principal.admin };

@id("admins-recover")
@reason("Administrators recover with the organisation's key, and approve each other's recoveries.")
permit (principal, action in [Action::"recover", Action::"approveRecovery"], resource)
when { principal.admin };

@id("recovery-takes-two")
@reason("A recovery needs a second administrator's approval.")
forbid (principal, action == Action::"recover", resource)
unless { context.approved };
`;

/** What a new organisation starts with. */
export const defaultPolicyDocument: PolicyDocument = Object.freeze({
  version: 1,
  defaultTtlSeconds: 7 * 86_400,
  maxTtlSeconds: 90 * 86_400,
  timeZone: 'UTC',
  recovery: false,
  approvalValidSeconds: 3600,
  cedar,
});
