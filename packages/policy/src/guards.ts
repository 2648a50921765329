import type { PolicyAction } from './request.ts';

/** A rule that holds for every organisation, whatever its document says. Its id has a colon, which no `@id` may have. */
export interface Guard {
  readonly id: string;
  readonly reason: string;
  readonly text: string;
  readonly actions: readonly PolicyAction[];
}

const recipientOnly: Guard = {
  id: 'astis:recipient-only',
  reason: 'A capsule is handed to its recipient only.',
  text: 'forbid (principal, action == Action::"release", resource) unless { resource.recipient == principal };',
  actions: ['release'],
};

const secondPerson: Guard = {
  id: 'astis:second-person',
  reason: 'Nobody approves their own request.',
  text: 'forbid (principal, action in Action::"approve", resource) when { context.requester == principal };',
  actions: ['approveRelease', 'approveRecovery'],
};

const recoveryOff: Guard = {
  id: 'astis:recovery-off',
  reason: "Recovery with the organisation's key is turned off.",
  text: 'forbid (principal, action == Action::"recover", resource);',
  actions: ['recover'],
};

export const guardsFor = ({ recovery }: { readonly recovery: boolean }): readonly Guard[] =>
  recovery ? [recipientOnly, secondPerson] : [recipientOnly, secondPerson, recoveryOff];
