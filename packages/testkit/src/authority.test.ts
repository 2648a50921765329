import { X509Certificate } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createServer, connect as tlsConnect } from 'node:tls';
import { expect, test } from 'vitest';
import type { Credentials } from './authority.ts';
import { createCertificateAuthority, openCertificateAuthority } from './authority.ts';

/** The client's name as the server sees it in a mutual TLS 1.3 handshake, or either side's reason to refuse. */
async function handshake(
  authority: string,
  server: Credentials,
  client: Credentials | undefined,
  servername: string,
): Promise<string> {
  const answered = Promise.withResolvers<string>();
  const listener = createServer(
    {
      cert: server.certificate,
      key: server.privateKey,
      ca: authority,
      requestCert: true,
      // Accepted all the same, so that the server can say why it would have refused.
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
    },
    (socket) =>
      socket.end(
        socket.authorized
          ? String(socket.getPeerX509Certificate()?.subject)
          : String(socket.authorizationError),
      ),
  );
  listener.on('tlsClientError', () => undefined);
  await new Promise<void>((ready) => listener.listen(0, '127.0.0.1', ready));
  const { port } = listener.address() as AddressInfo;
  const socket = tlsConnect({
    port,
    host: '127.0.0.1',
    servername,
    ca: authority,
    ...(client && { cert: client.certificate, key: client.privateKey }),
  });
  let text = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk) => {
    text += chunk;
  });
  socket.on('error', (error) => answered.resolve('code' in error ? String(error.code) : error.message));
  socket.on('end', () => answered.resolve(text));
  const answer = await answered.promise;
  socket.destroy();
  await new Promise((closed) => listener.close(closed));
  return answer;
}

test('its certificates carry mutual TLS 1.3, by DNS name and by address', async () => {
  const authority = await createCertificateAuthority();
  const server = await authority.issueServer(['localhost', '127.0.0.1', '::1']);
  const client = await authority.issueClient('gateway');
  expect(await handshake(authority.certificate, server, client, 'localhost')).toBe('CN=gateway');
  const certificate = new X509Certificate(server.certificate);
  expect(certificate.checkHost('localhost')).toBe('localhost');
  expect(certificate.checkIP('127.0.0.1')).toBe('127.0.0.1');
  expect(certificate.checkIP('::1')).toBe('::1');
  expect(certificate.checkHost('example.org')).toBeUndefined();
});

test('a client without a certificate, of another authority, or with a server certificate is refused', async () => {
  const authority = await createCertificateAuthority();
  const other = await createCertificateAuthority();
  const server = await authority.issueServer(['localhost']);
  const refused = async (client: Credentials | undefined) =>
    handshake(authority.certificate, server, client, 'localhost');
  expect(await refused(undefined)).toMatch(/UNABLE_TO_GET_ISSUER_CERT/);
  expect(await refused(await other.issueClient('gateway'))).toMatch(/SIGNATURE|ISSUER/);
  expect(await refused(server)).toBe('INVALID_PURPOSE');
});

test('a server of another authority, under another name or with a client certificate is refused', async () => {
  const authority = await createCertificateAuthority();
  const other = await createCertificateAuthority();
  const client = await authority.issueClient('gateway');
  const refusal = (server: Credentials, name: string) =>
    handshake(authority.certificate, server, client, name);
  expect(await refusal(await other.issueServer(['localhost']), 'localhost')).toMatch(
    /SIGNATURE|ISSUER|VERIFY/,
  );
  expect(await refusal(await authority.issueServer(['localhost']), 'example.org')).toBe(
    'ERR_TLS_CERT_ALTNAME_INVALID',
  );
  expect(await refusal(await authority.issueClient('localhost'), 'localhost')).toBe('INVALID_PURPOSE');
});

test('a name is data: it cannot add attributes to the subject', async () => {
  const authority = await createCertificateAuthority();
  const { certificate } = await authority.issueClient('eve,O=Bank');
  expect(new X509Certificate(certificate).toLegacyObject().subject.O).toBeUndefined();
});

test('is kept as PEM and opened again; a key of another authority is refused', async () => {
  const authority = await createCertificateAuthority();
  const { certificate, privateKey } = authority;
  const opened = await openCertificateAuthority({ certificate, privateKey });
  const server = await opened.issueServer(['localhost']);
  const client = await authority.issueClient('gateway');
  expect(await handshake(certificate, server, client, 'localhost')).toBe('CN=gateway');
  const other = await createCertificateAuthority();
  await expect(openCertificateAuthority({ certificate, privateKey: other.privateKey })).rejects.toThrow(
    /does not belong/,
  );
});

test('every certificate has its own positive serial number', async () => {
  const authority = await createCertificateAuthority();
  const serials = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const { certificate } = await authority.issueClient('gateway');
      return new X509Certificate(certificate).serialNumber;
    }),
  );
  expect(new Set(serials).size).toBe(20);
  expect(serials.filter((serial) => !/^[4-7][0-9A-F]{31}$/.test(serial))).toEqual([]);
});
