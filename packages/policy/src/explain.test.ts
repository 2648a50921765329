import { expect, it } from 'vitest';
import { compilePolicy } from './compile.ts';
import { alice, bob, capsule, carol, mallory, release, withCedar } from './example-requests.ts';
import { explain } from './explain.ts';

const document = compilePolicy(
  withCedar(`
    @id("staff-opens") @reason("Staff may open what was sealed to them.")
    permit (principal in Group::"staff", action == Action::"release", resource);
    @id("board-opens")
    permit (principal in Group::"board", action == Action::"release", resource);
    @id("daytime") @reason("Secrets are opened in the daytime only.")
    forbid (principal, action == Action::"release", resource)
    when { resource.labels.contains("secret") && context.hour < 8 };
    @id("two-pairs-of-eyes") @reason("Secrets need a second person.")
    forbid (principal, action == Action::"release", resource)
    when { resource.labels.contains("secret") } unless { context.approved };`),
);
const secret = capsule({ labels: ['secret'] });
const toCarol = capsule({ id: 'CAAAAAAAAAAAAAAAAAAAAA', recipient: carol });

it('says who could open what, by which policy, and why not', () => {
  const night = Date.UTC(2026, 2, 2, 3) / 1000;
  const answers = explain(document, [
    release(),
    release({ capsule: secret }),
    release({ capsule: secret, now: night }),
    release({ principal: alice }),
    release({ principal: carol, capsule: toCarol }),
  ]);
  expect(answers).toMatchObject([
    { principal: bob.address, action: 'release', outcome: 'allow', policies: ['staff-opens'], unmet: [] },
    {
      outcome: 'approval_required',
      policies: ['two-pairs-of-eyes'],
      reasons: ['Secrets need a second person.'],
      unmet: [],
    },
    {
      outcome: 'deny',
      policies: ['daytime', 'two-pairs-of-eyes'],
      reasons: ['Secrets are opened in the daytime only.', 'Secrets need a second person.'],
    },
    { principal: alice.address, outcome: 'deny', policies: ['astis:recipient-only'], unmet: [] },
    {
      principal: carol.address,
      capsule: toCarol.id,
      outcome: 'deny',
      policies: [],
      reasons: ['No policy allows this.'],
      unmet: [
        { policy: 'staff-opens', reason: 'Staff may open what was sealed to them.' },
        { policy: 'board-opens', reason: undefined },
      ],
    },
  ]);
});

it('names no capsule where there is none, and reports what could not be evaluated', () => {
  const rule = compilePolicy(
    withCedar(
      '@id("a") permit (principal, action in [Action::"invite", Action::"release"], resource) when { context.ip.isIpv4() };',
    ),
  );
  const [invite, broken] = explain(rule, [
    { action: 'invite', principal: carol, person: mallory, now: 0, ip: '::1' },
    release({ ip: 'nowhere' }),
  ]);
  expect(invite).toMatchObject({ capsule: undefined, outcome: 'deny', unmet: [{ policy: 'a' }] });
  expect(broken).toMatchObject({ outcome: 'deny', unmet: [] });
  expect(broken?.errors).toHaveLength(1);
});
