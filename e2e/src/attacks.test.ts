/**
 * One test for each line of "what the protocol must not get wrong": the attack runs against a whole stack, and what
 * must refuse it refuses with its own stable code. An attacker here may own the store, the gateway's answers, a stolen
 * token, or be a member of the organisation.
 */
import { randomBytes } from 'node:crypto';
import type { Signer } from '@astis/crypto';
import {
  decryptChunk,
  dekCommitment,
  encryptChunk,
  localSigner,
  newArtifactId,
  newDek,
  newSigningKey,
  openCapsule,
  openEnvelope,
  payloadKey,
  readEnvelopeHeader,
  sealEnvelope,
  sealHeader,
  sealToKem,
  signCertificate,
  signPayload,
  signStatement,
  sourceOf,
  verifyCertificate,
} from '@astis/crypto';
import type { Receipt, Release, Statement, WrapBytes } from '@astis/protocol';
import {
  Artifact,
  CapsulesCreated,
  concat,
  DirectoryAnswer,
  Domain,
  decodeCertificate,
  decodeSign1,
  encodeWrap,
  fromBase64Url,
  Policy,
  PolicyChanged,
  parseAddress,
  toBase64Url,
  WRAP_INFO,
  wrapAad,
} from '@astis/protocol';
import { invite, lookUp, openRelease, removePerson, requestRelease, revoke, setExpiry } from '@astis/sdk';
import type { Member, Organisation } from '@astis/testkit';
import { newOrganisation, startDnsServer } from '@astis/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { craft, getToken, send } from './crafted-request.fixture.ts';
import type { Scene } from './scene.fixture.ts';
import {
  eventsIn,
  exportLog,
  freshPins,
  idBytes,
  open,
  refusal,
  seal,
  startScene,
  verifyLog,
} from './scene.fixture.ts';

let scene: Scene;
let dns: Awaited<ReturnType<typeof startDnsServer>>;
let org: Organisation;
let other: Organisation;
let alice: Member;
let bob: Member;
let carol: Member;

const at = (name: string, domain = 'one.test') => parseAddress(`${name}@${domain}`);
const sql = (text: string, parameters: readonly (string | number | Uint8Array | null)[] = []) =>
  scene.gatewayStore.query<Record<string, unknown>>(text, parameters);

/** What the store has in one column of an artifact's row. */
async function stored(
  table: 'artifacts' | 'capsules',
  column: string,
  artifactId: string,
): Promise<Uint8Array> {
  const [row] = await sql(`select ${column} as value from ${table} where artifact_id = $1`, [
    idBytes(artifactId),
  ]);
  const value = row?.['value'];
  if (!(value instanceof Uint8Array)) throw new Error('the store has no such bytes');
  return value;
}

beforeAll(async () => {
  dns = await startDnsServer();
  scene = await startScene({ gatewayEnv: { ASTIS_DNS_SERVER: dns.address } });
  [org, other] = await Promise.all([
    newOrganisation(scene.stack, 'one.test'),
    newOrganisation(scene.stack, 'two.test'),
  ]);
  alice = org.admin;
  bob = await org.add('bob@one.test');
  carol = await org.add('carol@one.test');
});

afterAll(async () => {
  await scene?.stop();
  await dns?.stop();
});

describe('binding: who owns the store and moves capsules', () => {
  test('to another artifact of the same recipient', async () => {
    const [first, second] = [
      await seal(alice, [at('bob')], 'first'),
      await seal(alice, [at('bob')], 'second'),
    ];
    const wrap = await stored('capsules', 'wrap', second.artifactId);
    await sql('update capsules set wrap = $2 where artifact_id = $1', [idBytes(first.artifactId), wrap]);
    expect(await refusal(open(bob, first))).toBe('wrap_open_failed');
    expect((await open(bob, second)).text).toBe('second');
  });

  test('to another artifact, with its statement', async () => {
    const [first, second] = [
      await seal(alice, [at('bob')], 'first'),
      await seal(alice, [at('bob')], 'second'),
    ];
    const [wrap, statement] = [
      await stored('capsules', 'wrap', second.artifactId),
      await stored('artifacts', 'statement', second.artifactId),
    ];
    await sql('update capsules set wrap = $2 where artifact_id = $1', [idBytes(first.artifactId), wrap]);
    await sql('update artifacts set statement = $2 where artifact_id = $1', [
      idBytes(first.artifactId),
      statement,
    ]);
    expect(await refusal(open(bob, first))).toBe('answer_untrusted');
  });

  test('to another recipient', async () => {
    const toBob = await seal(alice, [at('bob')], 'for bob');
    const toBoth = await seal(alice, [at('bob'), at('carol')], 'for both');
    // Carol's row with Bob's wrap, of the same artifact; and a row of her own for what was never sealed to her.
    await sql(
      `update capsules set wrap = (select wrap from capsules where artifact_id = $1 and address = 'bob@one.test')
       where artifact_id = $1 and address = 'carol@one.test'`,
      [idBytes(toBoth.artifactId)],
    );
    expect(await refusal(open(carol, toBoth))).toBe('recipient_mismatch');
    await sql("update capsules set address = 'carol@one.test' where artifact_id = $1", [
      idBytes(toBob.artifactId),
    ]);
    expect(await refusal(open(carol, toBob))).toBe('recipient_mismatch');
  });

  test('to another tenant', async () => {
    const ours = await seal(alice, [at('bob')], 'of tenant one');
    const dan = await other.add('dan@two.test');
    const theirs = await seal(other.admin, [at('dan', 'two.test')], 'of tenant two');
    const [wrap, statement] = [
      await stored('capsules', 'wrap', ours.artifactId),
      await stored('artifacts', 'statement', ours.artifactId),
    ];
    const [certificate] = await sql(
      `select certificate from certificates where tenant_id = $1 and address = 'admin@one.test'`,
      [alice.identity.tenant.tenantId],
    );
    const moved = idBytes(theirs.artifactId);
    await sql('update capsules set wrap = $2 where artifact_id = $1', [moved, wrap]);
    await sql('update artifacts set statement = $2 where artifact_id = $1', [moved, statement]);
    expect(await refusal(open(dan, theirs))).toBe('signature_invalid');
    // With the sealer's certificate too; Dan pinned his own organisation's key.
    await sql(
      `update certificates set certificate = $2 where tenant_id = $1 and serial =
       (select sealer_serial from artifacts where artifact_id = $3)`,
      [dan.identity.tenant.tenantId, certificate?.['certificate'] as Uint8Array, moved],
    );
    expect(await refusal(open(dan, theirs))).toBe('certificate_invalid');
  });

  test('a ciphertext that would open to two plaintexts under two keys opens to none under the second', async () => {
    const { tenantId } = alice.identity.tenant;
    const [one, two, artifactId] = [newDek(), newDek(), newArtifactId()];
    const sealerKey = alice.identity.signer.publicKey;
    const header = sealHeader({ dek: one, artifactId, tenantId, sealer: at('admin'), sealerKey });
    const envelope = await sealEnvelope(new Uint8Array([1]), header, one, alice.identity.signer);
    const recipients = await lookUp(alice.client, [at('bob'), at('carol')], freshPins());
    const context = {
      artifactId,
      headerHash: header.hash,
      commitment: dekCommitment(one, artifactId),
      tenantId,
    };
    // Bob gets the key that the header commits to, Carol another one; both wraps are sound by themselves.
    const wraps = await Promise.all(
      recipients.map(async ({ address, kem, kemKey, keyId }) => {
        const dek = address === at('bob') ? one : two;
        const sealed = await sealToKem(kem, kemKey, dek, WRAP_INFO, wrapAad({ ...context, address, keyId }));
        return { address, wrap: toBase64Url(encodeWrap({ kem, keyId, ...sealed })) };
      }),
    );
    const sealedAt = Math.floor(Date.now() / 1000);
    const statement = await signStatement(
      {
        ...context,
        sealer: at('admin'),
        sealedAt,
        notAfter: sealedAt + 3600,
        recipients: recipients.map(({ address, keyId }) => ({ address, keyId })),
        labels: [],
      },
      alice.identity.signer,
    );
    const body = { items: [{ statement: toBase64Url(statement), wraps }] };
    await alice.client.write('POST', '/v1/capsules', body, CapsulesCreated);
    expect((await open(bob, { artifactId, header, envelope })).text).toBe('\u0001');
    expect(await refusal(open(carol, { artifactId, header, envelope }))).toBe('commitment_mismatch');
  });

  test('unknown versions and algorithms are not opened', async () => {
    const { envelope, header } = await seal(alice, [at('bob')], 'text');
    const otherVersion = envelope.slice();
    otherVersion[header.bytes.indexOf('1'.charCodeAt(0))] = '2'.charCodeAt(0);
    expect(await refusal(readEnvelopeHeader(sourceOf(otherVersion)))).toBe('unknown_version');
    const otherAlgorithm = envelope.slice();
    // The header's last byte is the COSE algorithm's number.
    otherAlgorithm[header.bytes.length - 1] = 1;
    expect(await refusal(readEnvelopeHeader(sourceOf(otherAlgorithm)))).toBe('unknown_algorithm');
  });
});

describe('the author: a recipient knows the key, and is not the sealer', () => {
  test('content that a recipient encrypts anew under the same key is refused', async () => {
    const sealed = await seal(alice, [at('bob'), at('carol')], 'pay 10 to Bob');
    const release = await requestRelease(bob.client, sealed.artifactId);
    const { key } = await openRelease(bob.client, release, sealed.header);
    const chunkKey = await payloadKey(key.dek, sealed.header.hash);
    const plaintext = new TextEncoder().encode('pay 90 to Bob');
    const chunk = await encryptChunk(chunkKey, 0, true, plaintext);
    const digest = {
      artifactId: sealed.artifactId,
      headerHash: sealed.header.hash,
      plaintextBytes: plaintext.length,
      chunkHashes: chunk.hash,
    };
    // The AEAD is satisfied; only the signature tells.
    await expect(decryptChunk(chunkKey, 0, true, chunk.ciphertext, chunk.hash)).resolves.toEqual(plaintext);
    const oldSignature = sealed.envelope.slice(-64);
    const bobsSignature = await signPayload(digest, bob.identity.signer);
    for (const signature of [oldSignature, bobsSignature]) {
      const envelope = concat(sealed.header.bytes, chunk.ciphertext, chunk.hash, signature);
      expect(await refusal(open(carol, { ...sealed, envelope }))).toBe('signature_invalid');
    }
  });

  test("nobody sends on another's statement, as theirs or as their own", async () => {
    const sealed = await seal(alice, [at('bob')], 'for bob alone');
    const statementBytes = toBase64Url(await stored('artifacts', 'statement', sealed.artifactId));
    const wrap = toBase64Url(await stored('capsules', 'wrap', sealed.artifactId));
    const put = (statement: string) =>
      refusal(
        bob.client.write(
          'POST',
          '/v1/capsules',
          { items: [{ statement, wraps: [{ address: at('bob'), wrap }] }] },
          CapsulesCreated,
        ),
      );
    expect(await put(statementBytes)).toBe('statement_invalid');
    const asBob: Statement = { ...sealed.statement, sealer: at('bob') };
    expect(await put(toBase64Url(await signStatement(asBob, bob.identity.signer)))).toBe('already_exists');
    const asAlice = toBase64Url(await signStatement(sealed.statement, bob.identity.signer));
    expect(await put(asAlice)).toBe('statement_mismatch');
  });
});

describe('release needs more than a token', () => {
  let sealed: Awaited<ReturnType<typeof seal>>;
  let token: Awaited<ReturnType<typeof getToken>>;
  let wanted: {
    readonly method: 'POST';
    readonly path: string;
    readonly body: { readonly artifactId: string };
  };

  beforeAll(async () => {
    sealed = await seal(alice, [at('bob')], 'released once');
    token = await getToken(bob, org.transport);
    wanted = { method: 'POST', path: '/v1/releases', body: { artifactId: sealed.artifactId } };
  });

  test('a stolen token without its key', async () => {
    const good = await craft(bob, token, wanted);
    const { dpop: _proof, ...withoutProof } = good.headers;
    expect(await send(org.transport, { ...good, headers: withoutProof })).toMatchObject({
      status: 401,
      code: 'proof_required',
    });
    const asBearer = { ...withoutProof, authorization: `Bearer ${token.text}` };
    expect(await send(org.transport, { ...good, headers: asBearer })).toMatchObject({
      code: 'token_invalid',
    });
    const thief = localSigner(newSigningKey());
    const attempts: readonly Parameters<typeof craft>[3][] = [
      { signer: thief },
      { signer: thief, claimedKey: bob.identity.signer },
      // A member's own registered key does not help with somebody else's token.
      { signer: carol.identity.signer },
    ];
    for (const changes of attempts) {
      const answer = await send(org.transport, await craft(bob, token, wanted, changes));
      expect(answer).toMatchObject({ status: 401, code: 'proof_invalid' });
      expect(answer.body).not.toContain('wrap');
    }
    // The same request by the key itself is good: it was the proof that failed.
    expect((await send(org.transport, await craft(bob, token, wanted))).status).toBe(200);
  });

  test('a replayed release, later and at the same time, and with an idempotency key', async () => {
    const request = await craft(bob, token, wanted, { headers: { 'idempotency-key': crypto.randomUUID() } });
    expect((await send(org.transport, request)).status).toBe(200);
    expect(await send(org.transport, request)).toMatchObject({ status: 401, code: 'proof_replayed' });
    const raced = await craft(bob, token, wanted);
    const answers = await Promise.all(Array.from({ length: 8 }, () => send(org.transport, raced)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ code }) => code === 'proof_replayed')).toHaveLength(7);
    // A batch uses its proof up as well, and so does every other route.
    const batch = await craft(bob, token, {
      method: 'POST',
      path: '/v1/releases/batch',
      body: { artifactIds: [sealed.artifactId] },
    });
    expect((await send(org.transport, batch)).status).toBe(200);
    expect((await send(org.transport, batch)).code).toBe('proof_replayed');
    const reading = await craft(bob, token, { method: 'GET', path: '/v1/tenant' });
    expect((await send(org.transport, reading)).status).toBe(200);
    expect((await send(org.transport, reading)).code).toBe('proof_replayed');
  });

  test('an answer is never given again: with the same idempotency key a release is decided anew', async () => {
    const once = await seal(alice, [at('bob')], 'soon revoked');
    const headers = { 'idempotency-key': crypto.randomUUID() };
    const again = { ...wanted, body: { artifactId: once.artifactId } };
    expect((await send(org.transport, await craft(bob, token, again, { headers }))).status).toBe(200);
    await revoke(alice.client, once.artifactId, undefined);
    expect(await send(org.transport, await craft(bob, token, again, { headers }))).toMatchObject({
      status: 403,
      code: 'revoked',
    });
  });

  test('a proof for another URL, method, body, token or time, or with a nonce that is not the server’s', async () => {
    const { gatewayUrl } = bob.identity;
    const attempts: readonly (readonly [Readonly<Record<string, unknown>>, string])[] = [
      [{ htu: `${gatewayUrl}/v1/releases/batch` }, 'proof_invalid'],
      [{ htu: 'https://elsewhere.test/v1/releases' }, 'proof_invalid'],
      [{ htm: 'GET' }, 'proof_invalid'],
      [{ bd: 'A'.repeat(43) }, 'proof_invalid'],
      [{ bd: undefined }, 'proof_invalid'],
      [{ ath: 'A'.repeat(43) }, 'proof_invalid'],
      [{ iat: Math.floor(Date.now() / 1000) - 3600 }, 'proof_invalid'],
      [{ iat: Math.floor(Date.now() / 1000) + 3600 }, 'proof_invalid'],
      [{ jti: 'short' }, 'proof_invalid'],
      [{ nonce: undefined }, 'proof_nonce_required'],
      [{ nonce: 'A'.repeat(24) }, 'proof_nonce_required'],
    ];
    for (const [claims, code] of attempts) {
      const answer = await send(org.transport, await craft(bob, token, wanted, { claims }));
      expect([claims, answer.status, answer.code]).toEqual([claims, 401, code]);
    }
    // A proof for one artifact with the body of another.
    const second = await seal(alice, [at('bob')], 'another');
    const request = await craft(bob, token, wanted);
    const body = JSON.stringify({ artifactId: second.artifactId });
    expect((await send(org.transport, { ...request, body })).code).toBe('proof_invalid');
  });

  test('an enrolment code serves once, and for nobody who has another one', async () => {
    const code = await org.invite('erin@one.test');
    const { enrol, parseEnrolmentCode, formatEnrolmentCode } = await import('@astis/sdk');
    const parsed = parseEnrolmentCode(code);
    const guessed = formatEnrolmentCode({ ...parsed, secret: randomBytes(16) });
    expect(await refusal(enrol(org.transport, parseEnrolmentCode(guessed)))).toBe('enrolment_invalid');
    await enrol(org.transport, parsed);
    expect(await refusal(enrol(org.transport, parsed))).toBe('enrolment_invalid');
  });
});

describe('the directory: a server that swaps keys', () => {
  /** Puts another certificate in the place of the one that counts for the address, and takes it away again. */
  async function swapped<T>(address: string, certificate: Uint8Array, work: () => Promise<T>): Promise<T> {
    const { tenantId } = alice.identity.tenant;
    const where = 'tenant_id = $1 and address = $2 and live';
    const [before] = await sql(`select certificate from certificates where ${where}`, [tenantId, address]);
    const put = (bytes: Uint8Array) =>
      sql(`update certificates set certificate = $3 where ${where}`, [tenantId, address, bytes]);
    await put(certificate);
    try {
      return await work();
    } finally {
      await put(before?.['certificate'] as Uint8Array);
    }
  }

  test('a key that the organisation did not certify', async () => {
    const forger: Signer = localSigner(newSigningKey());
    const genuine = verifyCertificate(
      bob.keys.certificate,
      alice.identity.tenant.identityKey,
      bob.identity.tenant.tenantId,
    );
    const forged = await signCertificate({ ...genuine, kemKey: carol.identity.unwrapper.publicKey }, forger);
    await swapped(at('bob'), forged, async () => {
      expect(await refusal(lookUp(alice.client, [at('bob')], freshPins()))).toBe('certificate_invalid');
    });
    expect(await refusal(lookUp(alice.client, [at('bob')], freshPins()))).toBe('none');
  });

  test("somebody else's certified key", async () => {
    await swapped(at('bob'), carol.keys.certificate, async () => {
      expect(await refusal(seal(alice, [at('bob')], 'for bob'))).not.toBe('none');
      const { certificates } = await alice.client.write(
        'POST',
        '/v1/directory/lookup',
        { addresses: [at('bob')] },
        DirectoryAnswer,
      );
      // What the server says is about Carol, whatever was asked: it does not pass for Bob's.
      const [certificate = ''] = certificates;
      const { address } = decodeCertificate(
        decodeSign1(fromBase64Url(certificate), 'astis/key-certificate').payload,
      );
      expect(address).toBe(at('carol'));
    });
  });

  test('a certified key that is another than the one seen before is shown before anything is sealed to it', async () => {
    const frank = await org.add('frank@one.test');
    const pins = freshPins();
    await lookUp(alice.client, [at('frank')], pins);
    const first = pins.get(at('frank'));
    await removePerson(alice.client, { id: frank.identity.personId, address: at('frank'), serial: 1 });
    const again = await org.add('frank@one.test');
    expect(again.identity.unwrapper.keyId).not.toBe(first);
    expect(await refusal(lookUp(alice.client, [at('frank')], pins))).toBe('recipient_key_changed');
    expect(pins.get(at('frank'))).toBe(first);
    await lookUp(alice.client, [at('frank')], pins, new Set([at('frank')]));
    expect(pins.get(at('frank'))).toBe(again.identity.unwrapper.keyId);
    // Back to the old certificate, which the organisation signed as well.
    await swapped(at('frank'), frank.keys.certificate, async () => {
      expect(await refusal(lookUp(alice.client, [at('frank')], pins))).toBe('recipient_key_changed');
    });
  });

  test("a holding key in the place of a person's own key", async () => {
    const pins = freshPins();
    await lookUp(alice.client, [at('grace')], freshPins());
    const [holding] = await sql(
      "select certificate from certificates where tenant_id = $1 and address = 'grace@one.test' and live",
      [alice.identity.tenant.tenantId],
    );
    await org.add('grace@one.test');
    await lookUp(alice.client, [at('grace')], pins);
    await swapped(at('grace'), holding?.['certificate'] as Uint8Array, async () => {
      expect(await refusal(lookUp(alice.client, [at('grace')], pins))).toBe('recipient_key_changed');
    });
  });

  test("the sealer's key when opening", async () => {
    const sealed = await seal(alice, [at('bob')], 'by alice');
    const release = await requestRelease(bob.client, sealed.artifactId);
    const sealerCertificate = toBase64Url(carol.keys.certificate);
    const swap: Release = { ...release, capsule: { ...release.capsule, sealerCertificate } };
    expect(await refusal(open(bob, sealed, swap))).toBe('signature_invalid');
    const wrap = toBase64Url((await stored('capsules', 'wrap', sealed.artifactId)) as WrapBytes);
    expect(wrap).toBe(release.capsule.wrap);
  });

  test('a release without its entry in the log is not believed', async () => {
    const [sealed, second] = [await seal(alice, [at('bob')], 'one'), await seal(alice, [at('bob')], 'two')];
    const release = await requestRelease(bob.client, sealed.artifactId);
    const elsewhere = await requestRelease(bob.client, second.artifactId);
    const receipts: readonly Receipt[] = [
      { ...release.receipt, seq: release.receipt.seq + 1 },
      { ...release.receipt, salt: toBase64Url(randomBytes(32)) },
      elsewhere.receipt,
    ];
    for (const receipt of receipts)
      expect(await refusal(open(bob, sealed, { ...release, receipt }))).toBe('receipt_invalid');
    expect((await open(bob, sealed, release)).text).toBe('one');
  });
});

describe("another tenant's people and domains", () => {
  test('cannot be invited as services or admins', async () => {
    for (const [kind, role] of [
      ['service', 'member'],
      ['person', 'admin'],
    ] as const) {
      const invitation = {
        address: at('mallory'),
        kind,
        role,
        hardwareBacked: false,
        groups: [],
        validSeconds: 3600,
      };
      expect(await refusal(invite(other.admin.client, invitation))).toBe('address_not_yours');
    }
  });

  test('cannot be claimed, with or without the DNS record', async () => {
    const add = (domain: string) => other.admin.client.write('POST', '/v1/domains', { domain }, Domain);
    const verify = (domain: string) =>
      other.admin.client.write('POST', `/v1/domains/${domain}/verify`, {}, Domain);
    const claimed = await add('one.test');
    const free = await add('free.test');
    expect(claimed.verified).toBe(false);
    expect(await refusal(verify('one.test'))).toBe('domain_unproven');
    expect(await refusal(verify('free.test'))).toBe('domain_unproven');
    await dns.setRecords({ [claimed.txtName]: [claimed.txtValue], [free.txtName]: [free.txtValue] });
    expect(await refusal(verify('one.test'))).toBe('domain_taken');
    // A domain of nobody's is proved by the very same record.
    expect((await verify('free.test')).verified).toBe(true);
    expect(await refusal(lookUp(alice.client, [at('bob')], freshPins()))).toBe('none');
  });

  test('a person of both organisations opens nothing of the one as a member of the other', async () => {
    const sealed = await seal(alice, [at('bob')], 'of tenant one');
    const outsideBob = await other.add('bob@one.test');
    expect(await refusal(open(outsideBob, sealed))).toBe('not_found');
    expect((await open(bob, sealed)).text).toBe('of tenant one');
  });
});

describe('failure closes', () => {
  test('no audit entry, no release', async () => {
    const sealed = await seal(alice, [at('bob')], 'logged or not released');
    const token = await getToken(bob, org.transport);
    const wanted = { method: 'POST', path: '/v1/releases', body: { artifactId: sealed.artifactId } } as const;
    const grants = async () =>
      (
        await sql("select 1 from audit_entries where kind = 'release.granted' and subject = $1", [
          sealed.artifactId,
        ])
      ).length;
    await sql('revoke insert on audit_entries from astis_gateway');
    try {
      const answer = await send(org.transport, await craft(bob, token, wanted));
      expect(answer).toMatchObject({ status: 503, code: 'audit_unavailable' });
      expect(answer.body).not.toContain('"wrap"');
      // Whatever else is logged is refused as well, and leaves nothing behind.
      expect(await refusal(seal(alice, [at('bob')], 'not stored'))).toBe('audit_unavailable');
      expect(await refusal(revoke(alice.client, sealed.artifactId, undefined))).toBe('audit_unavailable');
    } finally {
      await sql('grant insert on audit_entries to astis_gateway');
    }
    expect(await grants()).toBe(0);
    expect((await open(bob, sealed)).text).toBe('logged or not released');
    expect(await grants()).toBe(1);
  });

  test('no policy, no release', async () => {
    const sealed = await seal(alice, [at('bob')], 'by policy only');
    const { tenantId } = alice.identity.tenant;
    const [row] = await sql(
      'select version, document::text as document, created_by from policies where tenant_id = $1',
      [tenantId],
    );
    await sql('delete from policies where tenant_id = $1', [tenantId]);
    expect(await refusal(open(bob, sealed))).toBe('denied_by_policy');
    await sql('insert into policies (tenant_id, version, document, created_by) values ($1, $2, $3, $4)', [
      tenantId,
      Number(row?.['version']),
      String(row?.['document']),
      String(row?.['created_by']),
    ]);
    expect((await open(bob, sealed)).text).toBe('by policy only');
  });

  test('no key custody service, no new keys; releases go on', async () => {
    const sealed = await seal(alice, [at('bob')], 'needs no custody');
    const code = await org.invite('heidi@one.test');
    const { enrol, parseEnrolmentCode } = await import('@astis/sdk');
    await scene.stack.cvs.kill();
    try {
      expect(await refusal(enrol(org.transport, parseEnrolmentCode(code)))).toBe('custody_unavailable');
      expect(await refusal(lookUp(alice.client, [at('ivan')], freshPins()))).toBe('custody_unavailable');
      expect((await open(bob, sealed)).text).toBe('needs no custody');
    } finally {
      await scene.stack.restartCvs();
    }
    expect((await enrol(org.transport, parseEnrolmentCode(code))).address).toBe(at('heidi'));
  });

  test('a clock that stepped back stops releases rather than reviving them', async () => {
    const clock = await newOrganisation(scene.stack, 'clock.test');
    const reader = await clock.add('reader@clock.test');
    const sealed = await seal(clock.admin, [at('reader', 'clock.test')], 'by the clock');
    const { tenantId } = clock.admin.identity.tenant;
    const [head] = await sql('select time_ms from log_heads where tenant_id = $1', [tenantId]);
    const setHead = (timeMs: number) =>
      sql('update log_heads set time_ms = $2 where tenant_id = $1', [tenantId, timeMs]);
    // The newest entry is of an hour ahead, which is what a clock set back by an hour looks like.
    await setHead(Date.now() + 3_600_000);
    expect(await refusal(open(reader, sealed))).toBe('clock_stepped_back');
    await setHead(Number(head?.['time_ms']));
    expect((await open(reader, sealed)).text).toBe('by the clock');
    const lines = await exportLog(clock.admin);
    expect(eventsIn(lines)).toContainEqual(
      expect.objectContaining({ kind: 'release.denied', code: 'clock_stepped_back' }),
    );
    // Whoever sets the head's time by hand so that releases go on shows in the log.
    const { findings } = await verifyLog(clock.admin, lines);
    expect(findings.map(({ code }) => code)).toContain('time_backwards');
  });
});

describe('after its time', () => {
  let kim: Member;
  let lee: Member;
  let domain: Organisation;
  const to = (name: string) => at(name, 'after.test');

  beforeAll(async () => {
    domain = await newOrganisation(scene.stack, 'after.test');
    kim = domain.admin;
    lee = await domain.add('lee@after.test');
  });

  /** Until the database's clock, which alone decides, is past a capsule's end. */
  async function untilExpired(artifactId: string): Promise<void> {
    const isOver = async () =>
      (
        await sql('select 1 from capsules where artifact_id = $1 and expires_at < clock_timestamp()', [
          idBytes(artifactId),
        ])
      ).length > 0;
    while (!(await isOver())) await new Promise((wake) => setTimeout(wake, 50));
  }

  test('end of TTL, revocation, policy and removal end release, and the log proves grant and refusal', async () => {
    const receipts: Receipt[] = [];
    const grant = async (artifact: Awaited<ReturnType<typeof seal>>) => {
      const { text, receipt } = await open(lee, artifact);
      receipts.push(receipt);
      return text;
    };
    const expiring = await seal(kim, [to('lee')], 'expires', { ttlSeconds: 5 });
    const revoked = await seal(kim, [to('lee')], 'revoked');
    const secret = await seal(kim, [to('lee')], 'policy', { labels: ['secret'] });
    const removed = await seal(kim, [to('lee')], 'removed');
    expect(await grant(revoked)).toBe('revoked');
    expect(await grant(expiring)).toBe('expires');
    expect(await grant(secret)).toBe('policy');
    expect(await grant(removed)).toBe('removed');

    await untilExpired(expiring.artifactId);
    expect(await refusal(open(lee, expiring))).toBe('expired');
    // Expiry is terminal: nobody but the sealer revives it, and that only by a new statement.
    const ttl = { expiresAt: new Date(Date.now() + 3_600_000).toISOString() };
    expect(
      await refusal(kim.client.write('POST', `/v1/artifacts/${expiring.artifactId}/ttl`, ttl, Artifact)),
    ).toBe('ttl_exceeds_statement');
    expect(await refusal(open(lee, expiring))).toBe('expired');
    await setExpiry(
      kim.client,
      expiring.artifactId,
      undefined,
      new Date(Date.now() + 600_000),
      expiring.statement,
    );
    expect(await grant(expiring)).toBe('expires');

    await revoke(kim.client, revoked.artifactId, [to('lee')], 'test');
    expect(await refusal(open(lee, revoked))).toBe('revoked');
    // Not even the sealer makes a revoked capsule live again.
    await refusal(
      setExpiry(kim.client, revoked.artifactId, undefined, new Date(Date.now() + 600_000), revoked.statement),
    );
    expect(await refusal(open(lee, revoked))).toBe('revoked');

    const { document, version } = await kim.client.get('/v1/policy', Policy);
    const policy = document as { readonly cedar: string };
    const forbid =
      '@id("no-secrets")\n@reason("Secrets stay shut.")\nforbid (principal, action == Action::"release", resource) when { resource.labels.contains("secret") };\n';
    const changed = { document: { ...policy, cedar: policy.cedar + forbid }, expectedVersion: version };
    await kim.client.write('PUT', '/v1/policy', changed, PolicyChanged);
    expect(await refusal(open(lee, secret))).toBe('denied_by_policy');
    expect(await grant(removed)).toBe('removed');

    const { serial } = verifyCertificate(
      lee.keys.certificate,
      lee.identity.tenant.identityKey,
      lee.identity.tenant.tenantId,
    );
    const token = await getToken(lee, domain.transport);
    await removePerson(kim.client, { id: lee.identity.personId, address: to('lee'), serial });
    const late = { method: 'POST', path: '/v1/releases', body: { artifactId: removed.artifactId } } as const;
    expect(await send(domain.transport, await craft(lee, token, late))).toMatchObject({
      status: 401,
      code: 'key_revoked',
    });
    expect(await refusal(open(lee, removed))).toBe('key_revoked');

    const lines = await exportLog(kim);
    const events = eventsIn(lines);
    const refused = (artifactId: string) =>
      events
        .filter(({ kind, subject }) => kind === 'release.denied' && subject === artifactId)
        .map(({ code }) => code);
    const granted = (artifactId: string) =>
      events.filter(({ kind, subject }) => kind === 'release.granted' && subject === artifactId).length;
    expect(refused(expiring.artifactId)).toEqual(['expired']);
    expect(refused(revoked.artifactId)).toEqual(['revoked']);
    expect(refused(secret.artifactId)).toEqual(['denied_by_policy']);
    expect(refused(removed.artifactId)).toEqual(['key_revoked']);
    expect([expiring, revoked, secret, removed].map(({ artifactId }) => granted(artifactId))).toEqual([
      2, 1, 1, 2,
    ]);

    const report = await verifyLog(kim, lines, receipts);
    expect(report).toMatchObject({ ok: true, checkedReceipts: receipts.length, findings: [] });
    // And the verifier does find what somebody would rather not have in the log.
    const at = lines.findIndex((line) => line.includes('"release.denied"'));
    const without = (await verifyLog(kim, lines.toSpliced(at, 1), receipts)).findings;
    expect(without.map(({ code }) => code)).toContain('missing_entry');
    const altered = lines.with(at, (lines[at] ?? '').replace('"code":"expired"', '"code":"revoked"'));
    expect((await verifyLog(kim, altered, receipts)).findings.map(({ code }) => code)).toContain(
      'changed_event',
    );
  });

  test('denials of made-up ids are counted, and do not flood the log', async () => {
    const mia = await domain.add('mia@after.test');
    const entries = async () =>
      (await sql("select 1 from audit_entries where kind = 'release.denied' and actor = 'mia@after.test'"))
        .length;
    for (let i = 0; i < 30; i++)
      expect(await refusal(requestRelease(mia.client, newArtifactId()))).toBe('not_found');
    expect(await entries()).toBe(1);
    const [row] = await sql(
      "select repeats from denials where address = 'mia@after.test' and code = 'not_found'",
    );
    expect(row?.['repeats']).toBe(29);
  });
});

test('what a recipient opens is what this recipient was meant to get: openCapsule on bytes alone', async () => {
  const sealed = await seal(alice, [at('bob')], 'for bob');
  const { capsule } = await requestRelease(bob.client, sealed.artifactId);
  const bytes = {
    statement: fromBase64Url(capsule.statement),
    sealerCertificate: fromBase64Url(capsule.sealerCertificate),
    wrap: fromBase64Url(capsule.wrap) as WrapBytes,
    links: [],
  };
  const trusted = bob.identity.tenant;
  const asCarol = { ...bytes, address: at('carol') };
  expect(await refusal(openCapsule(asCarol, trusted, bob.identity.unwrapper))).toBe('recipient_mismatch');
  const wrongTenant = { ...trusted, tenantId: other.admin.identity.tenant.tenantId };
  const asBob = { ...bytes, address: at('bob') };
  expect(await refusal(openCapsule(asBob, wrongTenant, bob.identity.unwrapper))).toBe('certificate_invalid');
  const { dek, statement, sealer } = await openCapsule(asBob, trusted, bob.identity.unwrapper);
  const reader = await openEnvelope(sourceOf(sealed.envelope), { dek, statement, sealer });
  expect(new TextDecoder().decode(await reader.readChunk(0))).toBe('for bob');
});
