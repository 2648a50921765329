import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePolicy } from './compile.ts';
import { defaultPolicyDocument } from './default-document.ts';
import { MAX_CEDAR_BYTES, MAX_POLICIES } from './document.ts';
import { policyEngineHealthy } from './engine.ts';
import { PolicyError } from './errors.ts';
import { withCedar } from './example-requests.ts';

function refusal(document: unknown): PolicyError {
  try {
    compilePolicy(document);
  } catch (error) {
    if (error instanceof PolicyError) return error;
    throw error;
  }
  throw new Error('the document was taken');
}
const refusedText = (cedar: string): PolicyError => refusal(withCedar(cedar));
const when = (condition: string): string =>
  `@id("a") permit (principal, action, resource) when { ${condition} };`;

describe('compilePolicy', () => {
  it('takes the default document, without a warning', () => {
    expect(compilePolicy(defaultPolicyDocument).warnings).toEqual([]);
  });

  it('takes a document with no policy at all', () => {
    expect(compilePolicy(withCedar('// none yet')).groups).toEqual(new Set());
  });

  it('tells the groups that matter', () => {
    const compiled = compilePolicy(
      withCedar(`@id("a") permit (principal in Group::"x", action, resource) when { principal in [Group::"y", Group::"z z"] };
        @id("b") permit (principal is Person in Group::"w", action, resource);`),
    );
    expect(compiled.groups).toEqual(new Set(['w', 'x', 'y', 'z z']));
  });

  it('does not change with the object it was given', () => {
    const given: Record<string, unknown> = { ...defaultPolicyDocument };
    const compiled = compilePolicy(given);
    given['recovery'] = true;
    expect(compiled.document.recovery).toBe(false);
    expect(Object.isFrozen(compiled.document)).toBe(true);
  });

  it('refuses what is not shaped like a document, naming the field', () => {
    for (const input of [undefined, null, 1, 'x', [], {}])
      expect(refusal(input).code).toBe('policy_document_invalid');
    const cases: [Record<string, unknown>, string][] = [
      [{ version: 2 }, '/version'],
      [{ defaultTtlSeconds: 0 }, '/defaultTtlSeconds'],
      [{ maxTtlSeconds: 1.5 }, '/maxTtlSeconds'],
      [{ maxTtlSeconds: '60' }, '/maxTtlSeconds'],
      [{ maxTtlSeconds: 1e12 }, '/maxTtlSeconds'],
      [{ recovery: 'yes' }, '/recovery'],
      [{ approvalValidSeconds: 59 }, '/approvalValidSeconds'],
      [{ cedar: null }, '/cedar'],
      [{ recoverry: true }, '/recoverry'],
    ];
    for (const [change, path] of cases) {
      const { code, problems } = refusal({ ...defaultPolicyDocument, ...change });
      expect([code, problems[0]?.path]).toEqual(['policy_document_invalid', path]);
    }
    const { recovery, ...missing } = defaultPolicyDocument;
    expect(recovery).toBe(false);
    expect(refusal(missing).code).toBe('policy_document_invalid');
  });

  it('refuses a default TTL above the maximum', () => {
    expect(refusal({ ...defaultPolicyDocument, defaultTtlSeconds: 61, maxTtlSeconds: 60 }).code).toBe(
      'policy_ttl_invalid',
    );
    expect(
      compilePolicy({ ...defaultPolicyDocument, defaultTtlSeconds: 60, maxTtlSeconds: 60 }).warnings,
    ).toEqual([]);
  });

  it('refuses what is not a zone of the IANA database', () => {
    for (const timeZone of ['Mars/Olympus', '+02:00', 'Europe/Berlin ', '../etc']) {
      expect(refusal({ ...defaultPolicyDocument, timeZone }).code).toBe('policy_time_zone_unknown');
    }
  });

  it('says where the syntax is wrong, in lines and UTF-16 columns', () => {
    const error = refusedText(
      '// é€😀\n@id("a") permit (principal, action, resource)\nwhen { "é€😀" == 1 + };',
    );
    expect(error.code).toBe('policy_syntax');
    expect(error.problems).toMatchObject([
      { line: 3, column: 22, message: expect.stringContaining('unexpected token `}`') },
    ]);
    expect(error.message).toContain('line 3, column 22');
  });

  it('says where a policy does not fit the schema, and which', () => {
    const error = refusedText(
      `${when('true')}\n// é\n@id("b")\nforbid (principal, action, resource)\nwhen { "é" != principal.nmae };`,
    );
    expect(error.code).toBe('policy_invalid');
    expect(error.problems).toMatchObject([
      { policy: 'b', line: 5, column: 15, message: expect.stringContaining('`nmae`') },
    ]);
  });

  it('keeps to the schema in strict mode', () => {
    for (const condition of [
      'principal.admin == "yes"',
      'context.hour > "8"',
      'context.approved',
      'principal in Team::"x"',
      'principal.address.admin',
      'context.ip.isInRange("10.0.0.0/8")',
      'context.now > datetime("yesterday")',
      'resource.labels.contains(1)',
      'ip(principal.domain).isIpv4()',
      '[1, "x"].contains(1)',
    ]) {
      expect([condition, refusedText(when(condition)).code]).toEqual([condition, 'policy_invalid']);
    }
    for (const scope of [
      'principal, action == Action::"open", resource',
      'principal == User::"x", action, resource',
    ]) {
      expect(refusedText(`@id("a") permit (${scope});`).code).toBe('policy_invalid');
    }
  });

  it('refuses a policy that no request can meet: a forbid that forbids nothing is a mistake', () => {
    for (const text of [
      '@id("a") forbid (principal, action == Action::"manage", resource);',
      '@id("a") forbid (principal, action == Action::"release", resource is Organisation);',
      '@id("a") forbid (principal, action, resource) when { context has network && context.hour < 8 };',
      '@id("a") permit (principal, action, resource) when { false };',
    ]) {
      expect([text, refusedText(text).code]).toEqual([text, 'policy_invalid']);
    }
  });

  it('wants an @id of each policy, once, and knows @reason beside it', () => {
    const permit = 'permit (principal, action, resource);';
    for (const text of [
      permit,
      `@id ${permit}`,
      `@id("") ${permit}`,
      `@id("astis:mine") ${permit}`,
      `@id("Mine") ${permit}`,
      `@id("a b") ${permit}`,
      `@id("${'a'.repeat(65)}") ${permit}`,
      `@id("a") ${permit} @id("a") ${permit}`,
      `@id("a") @reason ${permit}`,
      `@id("a") @reason("") ${permit}`,
      `@id("a") @reason("${'x'.repeat(501)}") ${permit}`,
      `@id("a") @raeson("x") ${permit}`,
      `@id("a") @advice("x") ${permit}`,
    ]) {
      expect([text, refusedText(text).code]).toEqual([text, 'policy_invalid']);
    }
    expect(refusedText(`@id("a") ${permit}\n@id("a") ${permit}`).problems).toMatchObject([
      { policy: 'a', line: 2 },
    ]);
  });

  it('refuses templates', () => {
    expect(refusedText('@id("a") permit (principal == ?principal, action, resource);').code).toBe(
      'policy_invalid',
    );
  });

  it('refuses text that reads otherwise than it is', () => {
    expect(refusedText(when('principal.address == "\u202Emoc.elpmaxe@bob"')).code).toBe('policy_invalid');
    expect(refusedText(when('principal.address == "\uD800"')).code).toBe('policy_syntax');
  });

  it('finds each policy where it stands, however many there are', () => {
    const text = Array.from(
      { length: 30 },
      (_, i) => `// @id("p${i + 1}")\n@id("p${i}") permit (principal, action, resource);`,
    );
    text[11] =
      '// @id("p11") permit\n@id("p11") permit (principal, action, resource) when { principal.nope };';
    expect(refusedText(text.join('\n')).problems).toMatchObject([{ policy: 'p11', line: 24 }]);
  });

  it('is not misled by a policy that a comment quotes', () => {
    const bad = '@id("b") permit (principal, action, resource) when { principal.nope };';
    expect(refusedText(`// ${bad}\n\n${bad}`).problems).toMatchObject([{ policy: 'b', line: 3 }]);
  });

  it('limits the size', () => {
    const many = (count: number): string =>
      Array.from({ length: count }, (_, i) => `@id("p${i}") permit (principal, action, resource);`).join(
        '\n',
      );
    expect(compilePolicy(withCedar(many(MAX_POLICIES))).warnings).toEqual([]);
    expect(refusedText(many(MAX_POLICIES + 1)).code).toBe('policy_too_large');
    expect(refusedText('x'.repeat(MAX_CEDAR_BYTES + 1)).code).toBe('policy_document_invalid');
    expect(refusedText(`//${'é'.repeat(MAX_CEDAR_BYTES / 2)}`).code).toBe('policy_too_large');
  });
});

describe('garbage', () => {
  const fragments = fc.constantFrom(
    ...[
      '@id("a")',
      '@reason("x")',
      'permit',
      'forbid',
      '(principal, action, resource)',
      '(',
      ')',
      'when',
      'unless',
      '{',
      '}',
    ],
    ...[
      ';',
      ',',
      'principal',
      'action',
      'resource',
      'context',
      '.',
      'admin',
      'labels',
      'contains',
      '==',
      '&&',
      '||',
      '!',
    ],
    ...[
      '"x"',
      '"',
      '\\',
      '1',
      '-',
      '+',
      '[',
      ']',
      'in',
      'is',
      'has',
      'like',
      'if',
      'then',
      'else',
      'true',
      'Person::"a"',
    ],
    ...[
      '?principal',
      '//',
      '\n',
      'ip("1.1.1.1")',
      'datetime("x")',
      '9223372036854775808',
      '\u0000',
      '\u202E',
      '😀',
      '::',
    ],
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.array(fragments, { maxLength: 60 }).map((parts) => parts.join(' ')),
    fc
      .array(fragments, { maxLength: 60 })
      .map((parts) => `@id("a") permit (principal, action, resource) when { ${parts.join('')} };`),
    // The default text with a piece cut out, doubled or replaced.
    fc
      .tuple(
        fc.nat(defaultPolicyDocument.cedar.length),
        fc.nat(40),
        fc.oneof(fragments, fc.string({ maxLength: 20 })),
      )
      .map(([from, length, piece]) => {
        const { cedar } = defaultPolicyDocument;
        return cedar.slice(0, from) + piece + cedar.slice(from + length);
      }),
  );

  it('as Cedar text: PolicyError with a stable code, or taken', () => {
    fc.assert(
      fc.property(text, (cedar) => {
        try {
          compilePolicy(withCedar(cedar));
        } catch (error) {
          expect(error).toBeInstanceOf(PolicyError);
          expect(error).toMatchObject({
            code: expect.stringMatching(/^policy_(syntax|invalid|too_large)$/),
          });
        }
      }),
      { numRuns: 1000 },
    );
    expect(policyEngineHealthy()).toBe(true);
  });

  it('as a document: PolicyError', () => {
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.record({ ...everything(), cedar: fc.anything() })), (input) => {
        expect(refusal(input).code).toMatch(/^policy_/);
      }),
    );
  });

  function everything(): Record<string, fc.Arbitrary<unknown>> {
    return {
      version: fc.constant(1),
      recovery: fc.boolean(),
      timeZone: fc.string(),
      maxTtlSeconds: fc.integer(),
    };
  }
});
