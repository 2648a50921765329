import { describe, expect, it } from 'vitest';
import { compilePolicy } from './compile.ts';
import type { Decision } from './decide.ts';
import { decide } from './decide.ts';
import { defaultPolicyDocument } from './default-document.ts';
import type { PolicyDocument } from './document.ts';
import {
  alice,
  bob,
  capsule,
  carol,
  mallory,
  monday,
  person,
  release,
  withCedar,
  withMore,
} from './example-requests.ts';
import type { PolicyRequest } from './request.ts';

const judge = (document: PolicyDocument, request: PolicyRequest): Decision =>
  decide(compilePolicy(document), request);
const outcome = (document: PolicyDocument, request: PolicyRequest): string =>
  judge(document, request).outcome;
const everyRelease = '@id("all") permit (principal, action == Action::"release", resource);';
const forbidRelease = (condition: string): PolicyDocument =>
  withMore(
    `@id("rule") @reason("By the rule.") forbid (principal, action == Action::"release", resource) ${condition};`,
  );
const at = (iso: string): number => Date.parse(iso) / 1000;

describe('the default document', () => {
  const seal = { action: 'seal' as const, principal: alice, ttlSeconds: 60, now: monday, ip: '10.1.2.3' };
  const about = { capsule: capsule(), now: monday, ip: '10.1.2.3' };

  it('lets recipients open, and nobody else, not even the sealer or an administrator', () => {
    expect(outcome(defaultPolicyDocument, release())).toBe('allow');
    expect(outcome(defaultPolicyDocument, release({ principal: alice }))).toBe('deny');
    expect(outcome(defaultPolicyDocument, release({ principal: carol }))).toBe('deny');
  });

  it('lets members seal to members only', () => {
    expect(outcome(defaultPolicyDocument, { ...seal, capsule: capsule() })).toBe('allow');
    expect(outcome(defaultPolicyDocument, { ...seal, principal: mallory, capsule: capsule() })).toBe('deny');
    const toMallory = judge(defaultPolicyDocument, { ...seal, capsule: capsule({ recipient: mallory }) });
    expect(toMallory).toEqual({
      outcome: 'deny',
      policies: ['no-sealing-to-outsiders'],
      reasons: ['Sealing to people outside of the organisation is not allowed.'],
      errors: [],
    });
  });

  it('leaves revoking and extending to the sealer and administrators', () => {
    for (const [principal, expected] of [
      [alice, 'allow'],
      [carol, 'allow'],
      [bob, 'deny'],
    ] as const) {
      expect(outcome(defaultPolicyDocument, { action: 'revoke', principal, ...about })).toBe(expected);
      expect(outcome(defaultPolicyDocument, { action: 'extend', ttlSeconds: 60, principal, ...about })).toBe(
        expected,
      );
    }
  });

  it('leaves the organisation to administrators', () => {
    for (const action of ['managePeople', 'managePolicy', 'manageKeys', 'readAudit'] as const) {
      expect(outcome(defaultPolicyDocument, { action, principal: carol, now: monday, ip: '::1' })).toBe(
        'allow',
      );
      expect(outcome(defaultPolicyDocument, { action, principal: alice, now: monday, ip: '::1' })).toBe(
        'deny',
      );
    }
    const invite = { action: 'invite' as const, person: mallory, now: monday, ip: '::1' };
    expect(outcome(defaultPolicyDocument, { ...invite, principal: carol })).toBe('allow');
    expect(outcome(defaultPolicyDocument, { ...invite, principal: alice })).toBe('deny');
  });

  it('recovers nothing, and once turned on only with a second administrator', () => {
    const recover = { ...release({ principal: carol }), action: 'recover' as const };
    const refused = judge(defaultPolicyDocument, { ...recover, approved: true });
    expect(refused.outcome).toBe('deny');
    expect(refused.reasons).toEqual(["Recovery with the organisation's key is turned off."]);
    const on = { ...defaultPolicyDocument, recovery: true };
    expect(outcome(on, recover)).toBe('approval_required');
    expect(outcome(on, { ...recover, approved: true })).toBe('allow');
    expect(outcome(on, { ...recover, principal: bob, approved: true })).toBe('deny');
    const approve = { action: 'approveRecovery' as const, requester: carol, ...about };
    expect(outcome(on, { ...approve, principal: carol })).toBe('deny');
    expect(outcome(on, { ...approve, principal: alice })).toBe('deny');
    expect(outcome(on, { ...approve, principal: person('second', { admin: true }) })).toBe('allow');
  });
});

describe('what no document can allow', () => {
  const all = withCedar('@id("all") permit (principal, action, resource);');

  it('a release to anybody but the recipient', () => {
    expect(outcome(all, release())).toBe('allow');
    expect(judge(all, release({ principal: carol }))).toMatchObject({
      outcome: 'deny',
      policies: ['astis:recipient-only'],
    });
  });

  it('approving one’s own request', () => {
    const approve = { action: 'approveRelease' as const, capsule: capsule(), now: monday, ip: '::1' };
    expect(outcome(all, { ...approve, principal: bob, requester: bob })).toBe('deny');
    expect(outcome(all, { ...approve, principal: alice, requester: bob })).toBe('allow');
  });

  it('a recovery while it is turned off', () => {
    const recover = { ...release({ principal: carol }), action: 'recover' as const };
    expect(outcome(all, recover)).toBe('deny');
    expect(outcome({ ...all, recovery: true }, recover)).toBe('allow');
  });
});

describe('every dimension of a policy', () => {
  it('person', () => {
    const rule = forbidRelease('when { principal == Person::"bob@example.com" }');
    expect(outcome(rule, release())).toBe('deny');
    expect(outcome(rule, release({ principal: alice, capsule: capsule({ recipient: alice }) }))).toBe(
      'allow',
    );
  });

  it('address and domain', () => {
    const rule = forbidRelease(
      'unless { principal.domain == "example.com" && principal.address like "bob@*" }',
    );
    expect(outcome(rule, release())).toBe('allow');
    expect(outcome(rule, release({ principal: alice, capsule: capsule({ recipient: alice }) }))).toBe('deny');
    expect(outcome(rule, release({ principal: mallory, capsule: capsule({ recipient: mallory }) }))).toBe(
      'deny',
    );
  });

  it('group, of who acts, who sealed and who receives', () => {
    expect(outcome(forbidRelease('unless { principal in Group::"staff" }'), release())).toBe('allow');
    expect(outcome(forbidRelease('unless { principal in Group::"legal" }'), release())).toBe('deny');
    expect(outcome(forbidRelease('when { resource.sealer in Group::"legal" }'), release())).toBe('deny');
    expect(
      outcome(forbidRelease('when { resource.recipient in [Group::"legal", Group::"x"] }'), release()),
    ).toBe('allow');
    const scope = withCedar(
      '@id("a") permit (principal in Group::"staff", action == Action::"release", resource);',
    );
    expect(outcome(scope, release())).toBe('allow');
    const stranger = person('bob', { groups: ['staff2', 'Staff'] });
    expect(outcome(scope, release({ principal: stranger }))).toBe('deny');
  });

  it('label', () => {
    const rule = forbidRelease('when { resource.labels.containsAny(["secret", "board"]) }');
    expect(outcome(rule, release({ capsule: capsule({ labels: ['board', 'q3'] }) }))).toBe('deny');
    expect(outcome(rule, release({ capsule: capsule({ labels: ['q3'] }) }))).toBe('allow');
  });

  it('capsule', () => {
    const rule = forbidRelease('when { resource == Capsule::"AAAAAAAAAAAAAAAAAAAAAA" }');
    expect(outcome(rule, release())).toBe('deny');
    expect(outcome(rule, release({ capsule: capsule({ id: 'BAAAAAAAAAAAAAAAAAAAAA' }) }))).toBe('allow');
  });

  it('network', () => {
    const rule = forbidRelease(
      'unless { context.ip.isInRange(ip("10.0.0.0/8")) || context.ip.isInRange(ip("2001:db8::/32")) }',
    );
    expect(outcome(rule, release({ ip: '10.255.0.1' }))).toBe('allow');
    expect(outcome(rule, release({ ip: '11.0.0.1' }))).toBe('deny');
    expect(outcome(rule, release({ ip: '2001:db8::17' }))).toBe('allow');
    expect(outcome(rule, release({ ip: '::ffff:10.1.2.3' }))).toBe('allow');
    expect(outcome(rule, release({ ip: '::ffff:11.1.2.3' }))).toBe('deny');
  });

  it('a network address that is none: refused with an error', () => {
    const rule = forbidRelease('when { context.ip.isInRange(ip("10.0.0.0/8")) }');
    for (const ip of ['', 'localhost', '10.0.0.0/8', '10.0.0.1:80', '0.0.0.0/0', 'ip("10.0.0.1")']) {
      const decision = judge(rule, release({ ip }));
      expect(decision.outcome).toBe('deny');
      expect(decision.errors).toHaveLength(1);
    }
  });

  it('time of day and day of week, by the time zone of the organisation', () => {
    const cedar = `${everyRelease}
      @id("hours") forbid (principal, action == Action::"release", resource)
      unless { context.weekday <= 5 && context.hour >= 8 && context.hour < 18 };`;
    const berlin = withCedar(cedar, { timeZone: 'Europe/Berlin' });
    const tokyo = withCedar(cedar, { timeZone: 'Asia/Tokyo' });
    const when = (document: PolicyDocument, iso: string): string =>
      outcome(document, release({ now: at(iso) }));
    // Friday 2026-03-27, 07:30 UTC: 08:30 in Berlin (winter), 16:30 in Tokyo.
    expect(when(berlin, '2026-03-27T07:30:00Z')).toBe('allow');
    expect(when(tokyo, '2026-03-27T07:30:00Z')).toBe('allow');
    // 06:30 UTC: 07:30 in Berlin in winter, 08:30 on Monday after the clocks changed (2026-03-29).
    expect(when(berlin, '2026-03-27T06:30:00Z')).toBe('deny');
    expect(when(berlin, '2026-03-30T06:30:00Z')).toBe('allow');
    // And back (2026-10-25): 07:30 again.
    expect(when(berlin, '2026-10-23T06:30:00Z')).toBe('allow');
    expect(when(berlin, '2026-10-26T06:30:00Z')).toBe('deny');
    // Friday evening in UTC is Saturday in Tokyo; Sunday evening is Monday morning.
    expect(when(tokyo, '2026-03-27T23:30:00Z')).toBe('deny');
    expect(when(tokyo, '2026-03-29T23:30:00Z')).toBe('allow');
    expect(when(berlin, '2026-03-29T23:30:00Z')).toBe('deny');
  });

  it('minute and date', () => {
    const rule = forbidRelease(
      'when { context.date == "2026-03-02" && (context.hour > 12 || context.minute >= 30) }',
    );
    expect(outcome(rule, release({ now: at('2026-03-02T12:29:59Z') }))).toBe('allow');
    expect(outcome(rule, release({ now: at('2026-03-02T12:30:00Z') }))).toBe('deny');
    expect(outcome(rule, release({ now: at('2026-03-03T00:00:00Z') }))).toBe('allow');
  });

  it('instants and durations', () => {
    const rule = forbidRelease('when { context.now.durationSince(resource.sealedAt) > duration("2h") }');
    expect(outcome(rule, release({ now: monday + 3600 }))).toBe('allow');
    expect(outcome(rule, release({ now: monday + 3601 }))).toBe('deny');
    const embargo = forbidRelease(
      'when { context.now < datetime("2026-03-02T12:00:01Z") || resource.expiresAt < context.now }',
    );
    expect(outcome(embargo, release({ now: monday }))).toBe('deny');
    expect(outcome(embargo, release({ now: monday + 1 }))).toBe('allow');
    expect(outcome(embargo, release({ now: monday + 3601 }))).toBe('deny');
  });

  it('hardware-backed key', () => {
    const rule = forbidRelease('when { resource.labels.contains("secret") && !principal.hardwareBacked }');
    const secret = capsule({ labels: ['secret'] });
    expect(outcome(rule, release({ capsule: secret }))).toBe('deny');
    expect(outcome(rule, release({ capsule: secret, principal: { ...bob, hardwareBacked: true } }))).toBe(
      'allow',
    );
    expect(outcome(rule, release())).toBe('allow');
  });

  it('who may seal to outsiders', () => {
    const rule = withCedar(`
      @id("members") permit (principal, action == Action::"seal", resource) unless { principal.outsider };
      @id("outside") forbid (principal, action == Action::"seal", resource)
      when { resource.recipient.outsider } unless { principal in Group::"legal" };`);
    const seal = { action: 'seal' as const, ttlSeconds: 60, now: monday, ip: '::1' };
    const outside = capsule({ recipient: mallory });
    expect(outcome(rule, { ...seal, principal: alice, capsule: outside })).toBe('allow');
    expect(outcome(rule, { ...seal, principal: bob, capsule: outside })).toBe('deny');
    expect(outcome(rule, { ...seal, principal: bob, capsule: capsule({ recipient: alice }) })).toBe('allow');
  });

  it('all circumstances at once', () => {
    const noon = `{ now: datetime("2026-03-02T12:00:00Z"), date: "2026-03-02", hour: 12, minute: 0, weekday: 1,
      ip: ip("10.1.2.3"), approved: false }`;
    expect(outcome(forbidRelease(`when { context == ${noon} }`), release())).toBe('approval_required');
    expect(outcome(forbidRelease(`unless { [${noon}].contains(context) }`), release())).toBe('allow');
    expect(outcome(forbidRelease(`unless { context == ${noon} }`), release({ ip: '10.1.2.4' }))).toBe('deny');
  });

  it('programs', () => {
    const rule = forbidRelease('when { principal.service }');
    expect(outcome(rule, release({ principal: { ...bob, service: true } }))).toBe('deny');
    expect(outcome(rule, release())).toBe('allow');
  });

  it('the life asked for', () => {
    const rule =
      withMore(`@id("short") forbid (principal, action in [Action::"seal", Action::"extend"], resource)
      when { resource.labels.contains("secret") && context.ttlSeconds > 3600 };`);
    const seal = {
      action: 'seal' as const,
      principal: alice,
      now: monday,
      ip: '::1',
      capsule: capsule({ labels: ['secret'] }),
    };
    expect(outcome(rule, { ...seal, ttlSeconds: 3600 })).toBe('allow');
    expect(outcome(rule, { ...seal, ttlSeconds: 3601 })).toBe('deny');
    expect(outcome(rule, { ...seal, action: 'extend', ttlSeconds: 3601 })).toBe('deny');
    expect(outcome(rule, { ...seal, ttlSeconds: 0.5 })).toBe('deny');
  });
});

describe("a second person's approval", () => {
  const rule = forbidRelease('when { resource.labels.contains("secret") } unless { context.approved }');
  const secret = capsule({ labels: ['secret'] });

  it('is asked for exactly where it would help', () => {
    expect(judge(rule, release({ capsule: secret }))).toEqual({
      outcome: 'approval_required',
      policies: ['rule'],
      reasons: ['By the rule.'],
      errors: [],
    });
    expect(outcome(rule, release({ capsule: secret, approved: true }))).toBe('allow');
    expect(outcome(rule, release())).toBe('allow');
  });

  it('does not help against another prohibition, or where nothing permits', () => {
    expect(outcome(rule, release({ capsule: secret, principal: alice }))).toBe('deny');
    const closed = withMore(`
      @id("a") forbid (principal, action == Action::"release", resource) unless { context.approved };
      @id("b") forbid (principal, action == Action::"release", resource) when { context.hour == 12 };`);
    expect(judge(closed, release())).toMatchObject({ outcome: 'deny', policies: ['a', 'b'] });
    const nothing = withCedar(
      '@id("a") forbid (principal, action == Action::"release", resource) unless { context.approved };',
    );
    expect(outcome(nothing, release())).toBe('deny');
    expect(outcome(nothing, release({ approved: true }))).toBe('deny');
  });

  it('may be the condition of a permit as well', () => {
    const permit = withCedar(
      '@id("a") permit (principal, action == Action::"release", resource) when { context.approved };',
    );
    expect(judge(permit, release())).toEqual({
      outcome: 'approval_required',
      policies: [],
      reasons: ['A second person has to approve this first.'],
      errors: [],
    });
    expect(outcome(permit, release({ approved: true }))).toBe('allow');
  });
});

describe('failing closed', () => {
  it('an error in one policy refuses, whatever the others say', () => {
    const overflow = 'context.hour * 9223372036854775807 > 0';
    const forbid = forbidRelease(`when { ${overflow} }`);
    const decision = judge(forbid, release());
    expect(decision).toMatchObject({
      outcome: 'deny',
      policies: [],
      reasons: ['The policy could not be evaluated.'],
    });
    expect(decision.errors).toMatchObject([{ policy: 'rule' }]);
    const permit = withMore(
      `@id("bad") permit (principal, action == Action::"release", resource) when { ${overflow} };`,
    );
    expect(outcome(permit, release())).toBe('deny');
    const approvable = forbidRelease(`unless { context.approved && ${overflow} }`);
    expect(outcome(approvable, release())).toBe('deny');
  });

  it('a time that is no time is refused, if it matters', () => {
    const rule = forbidRelease('when { context.hour < 8 || context.now < resource.sealedAt }');
    expect(outcome(rule, release())).toBe('allow');
    for (const now of [Number.NaN, Number.POSITIVE_INFINITY, -1e18, 1e15]) {
      const decision = judge(rule, release({ now }));
      expect(decision.outcome).toBe('deny');
      expect(decision.errors).toHaveLength(1);
    }
  });

  it('says that nothing permits where nothing does', () => {
    expect(judge(withCedar(''), release())).toEqual({
      outcome: 'deny',
      policies: [],
      reasons: ['No policy allows this.'],
      errors: [],
    });
  });
});
